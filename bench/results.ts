/** Medians, ratios and the table. */
import type { Task } from './contestant.ts';

/** One timed run. */
export interface Sample {
  readonly seconds: number;
  /** Of both ends together. */
  readonly cpuSeconds: number;
  readonly clientPeakBytes: number;
  readonly serverPeakBytes: number | undefined;
}

/** All runs of one contestant at one task. */
export interface Series {
  readonly task: Task;
  readonly name: string;
  readonly bytes: number;
  readonly samples: Sample[];
  /** Why it has no further samples. */
  failure?: string;
}

/** The middle value; the mean of the two middle ones of an even number. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
}

const HEADINGS = [
  'task',
  'program',
  'median s',
  'least',
  'most',
  'MB/s',
  'CPU s/GiB',
  'RSS MiB here/there',
  'ours is',
];

/** One line for each series, with how many times as fast ours is. */
export function table(all: readonly Series[]): string {
  const rows = all.map((series) => [series.task, series.name, ...figures(series, all)]);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row.length > 3 ? (row[column]?.length ?? 0) : 0))),
  );
  const lines = [HEADINGS, ...rows].map((row) =>
    row.map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  );
  return lines.map((cells) => cells.join('  ').trimEnd()).join('\n');
}

function figures(series: Series, all: readonly Series[]): string[] {
  const { samples, failure, bytes, task } = series;
  if (samples.length === 0) return [failure ?? 'not run'];
  const seconds = samples.map((sample) => sample.seconds);
  const middle = median(seconds);
  const cpu = median(samples.map((sample) => sample.cpuSeconds));
  const here = Math.max(...samples.map((sample) => sample.clientPeakBytes));
  const there = Math.max(...samples.map((sample) => sample.serverPeakBytes ?? Number.NaN));
  const ours = all.find((other) => other.task === task && other.name === 'localstream');
  const ratio = middle / median(ours?.samples.map((sample) => sample.seconds) ?? []);
  const big = bytes >= 2 ** 24;
  return [
    middle.toFixed(3),
    Math.min(...seconds).toFixed(3),
    Math.max(...seconds).toFixed(3),
    big ? (bytes / middle / 1e6).toFixed(0) : '',
    big ? (cpu / (bytes / 2 ** 30)).toFixed(2) : '',
    big ? `${mebibytes(here)}/${mebibytes(there)}` : '',
    series === ours || Number.isNaN(ratio) ? '' : `${ratio.toFixed(2)} x as fast`,
  ];
}

function mebibytes(bytes: number): string {
  return Number.isNaN(bytes) || bytes === 0 ? '-' : (bytes / 2 ** 20).toFixed(0);
}
