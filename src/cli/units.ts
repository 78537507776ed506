/** Numbers for people. */
import { formatBytes } from '../protocol/size-text.ts';

/** Told wherever sizes are explained. */
export const UNITS_NOTE = 'Sizes are decimal: 1 kB = 1000 bytes, 1 MB = 10^6, 1 GB = 10^9.';

/** Bytes a second, `14.2 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/** Seconds as a clock: `0:07`, `12:30`, `3:07:05`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours === 0 ? `${minutes}:${two(whole % 60)}` : `${hours}:${two(minutes)}:${two(whole % 60)}`;
}

/** How long something took: `0.42 s`, `12.3 s`, `2:05 min`, `1:02:03 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  return `${formatClock(seconds)} ${Math.round(seconds) < 3600 ? 'min' : 'h'}`;
}

/** A count with its noun: `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A local time as `2026-03-01 14:05`, always 16 characters. */
export function formatTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  if (Number.isNaN(date.getTime())) return '????-??-?? ??:??';
  const year = String(Math.min(9999, Math.max(0, date.getFullYear()))).padStart(4, '0');
  return `${year}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
