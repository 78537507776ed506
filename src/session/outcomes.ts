/** Counts how the entries of a transfer end, and keeps a bounded list of them: failures before all others. */
import type { ErrorCode } from '../errors.ts';
import { ENTRY, OUTCOME } from '../protocol/manifest.ts';
import type { Settled } from '../transfer/progress.ts';
import type { FileOutcome, Planned } from './report.ts';

const OUTCOME_NAMES: Record<number, FileOutcome['outcome']> = {
  [OUTCOME.committed]: 'committed',
  [OUTCOME.same]: 'same',
  [OUTCOME.skipped]: 'skipped',
  [OUTCOME.failed]: 'failed',
};

/** Turns a settled entry into what people are told. */
function fileOutcome(row: Settled): FileOutcome {
  const { path, size, digest, note, saved, mtime, there } = row;
  const outcome = OUTCOME_NAMES[row.outcome] ?? 'failed';
  const failed = outcome === 'failed' || outcome === 'skipped';
  const told = { path, outcome, size, digest };
  // In a drop-box only this end knows the name.
  const savedAs = saved === undefined || saved === lastName(path) ? note : saved;
  // As nearly all of a million are.
  if (!failed && !row.linked && row.kind !== ENTRY.link && note === '' && saved === undefined) return told;
  return {
    ...told,
    ...(failed && { code: row.flag, reason: note }),
    ...(mtime !== undefined && { mtime: dateOf(mtime) }),
    ...(there && { there: { size: there.size, mtime: dateOf(there.mtime) } }),
    ...(row.linked && { linked: true as const }),
    ...(row.kind === ENTRY.link && { symlink: true as const }),
    ...(!failed && savedAs !== '' && { savedAs }),
  };
}

function dateOf(microseconds: number): Date {
  return new Date(microseconds / 1000);
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export class Outcomes {
  readonly #bound: number;
  // Each has room of its own: no number of entries left out on purpose hides one that failed.
  readonly #failed: FileOutcome[] = [];
  readonly #skipped: FileOutcome[] = [];
  readonly #others: FileOutcome[] = [];
  files = 0;
  bytes = 0;
  failed = 0;
  skipped = 0;
  linked = 0;
  entries = 0;
  planned: Planned = { entries: 0, files: 0, bytes: 0 };
  #alarm = false;

  /** `bound`: how many are kept. */
  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Adds entries; returns what of them people are told about. */
  add(rows: readonly Settled[]): FileOutcome[] {
    const told: FileOutcome[] = [];
    for (const row of rows) {
      // Left out on purpose by whoever receives: not part of the transfer.
      if (row.outcome === OUTCOME.skipped && row.flag === 'OK' && row.note === '') continue;
      const outcome = fileOutcome(row);
      this.entries += 1;
      // A folder is worth a line only when something is wrong with it.
      if (row.kind === ENTRY.folder && outcome.outcome !== 'failed') continue;
      if (outcome.outcome === 'failed') this.failed += 1;
      else if (outcome.outcome === 'skipped') {
        this.skipped += 1;
        if (row.flag === 'OK') this.#plan(row);
      } else if (row.kind === ENTRY.file) {
        this.files += 1;
        this.bytes += row.size;
      }
      if (row.linked && !(outcome.outcome === 'failed')) this.linked += 1;
      told.push(outcome);
      this.#keep(outcome);
    }
    return told;
  }

  /** Failures first, then what was left out. */
  list(): FileOutcome[] {
    return [...this.#failed, ...this.#skipped, ...this.#others].slice(0, this.#bound);
  }

  /** By which code the whole ends. */
  code(): ErrorCode {
    const first = this.#failed[0] ?? this.#skipped[0];
    // The only thing that was wanted was left out: that it exists already is what was asked for, anything else is not.
    const leftOut =
      this.entries === 1 && this.skipped === 1 && first?.code !== 'OK' && first?.code !== 'EXISTS';
    if (this.failed === 0 && !leftOut) return 'OK';
    if (this.entries === 1 && first?.code && first.code !== 'OK') return first.code;
    return this.#alarm ? 'INTEGRITY' : 'PARTIAL';
  }

  #plan({ kind, size }: Settled): void {
    const { entries, files, bytes } = this.planned;
    const isFile = kind === ENTRY.file;
    this.planned = {
      entries: entries + 1,
      files: files + (isFile ? 1 : 0),
      bytes: bytes + (isFile ? size : 0),
    };
  }

  #keep(outcome: FileOutcome): void {
    // The list may be full by then.
    if (outcome.code === 'INTEGRITY') this.#alarm = true;
    const list = this.#listOf(outcome);
    if (list.length < this.#bound) list.push(outcome);
  }

  #listOf({ outcome }: FileOutcome): FileOutcome[] {
    if (outcome === 'failed') return this.#failed;
    return outcome === 'skipped' ? this.#skipped : this.#others;
  }
}
