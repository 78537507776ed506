/**
 * The sealed files among what a get brings. They come as any file does, resumed and checked; when all have arrived, each
 * that this machine can read is opened beside itself, and the receipt says what became of it.
 */
import type { FileOutcome, OpenedFile, Receipt } from '../session/report.ts';
import { cancelled } from '../session/transfers.ts';
import { SEALED_SUFFIX } from '../transfer/name.ts';
import type { TargetPlace } from '../transfer/target.ts';
import type { OpenSealsOptions, SealOpener } from './seal-opener.ts';

interface ReceivedSealsOptions extends OpenSealsOptions {
  /** Of what was opened, how many are named in the receipt. */
  readonly bound: number;
}

/** A sealed file that has arrived. */
interface Found {
  readonly savedAs: string | undefined;
  readonly isNew: boolean;
}

/** The place of a get: what ends as a sealed file is received under such a name, whatever it is to be called in the end. */
function sealedPlace(place: TargetPlace): TargetPlace {
  const names = place.names.map(([offered, name, kind]) =>
    kind === 'file' && offered.endsWith(SEALED_SUFFIX) && !name.endsWith(SEALED_SUFFIX)
      ? ([offered, `${name}${SEALED_SUFFIX}`, kind] as const)
      : ([offered, name, kind] as const),
  );
  return { ...place, names };
}

export class ReceivedSeals {
  readonly #options: ReceivedSealsOptions;
  /** By path: what is noted again after a reconnect is still one file. */
  readonly #found = new Map<string, Found>();
  readonly #opened: OpenedFile[] = [];
  #place: TargetPlace | undefined;
  #failed = 0;
  #skipped = 0;

  constructor(options: ReceivedSealsOptions) {
    this.#options = options;
  }

  /** Where the files go. What it returns is the place to receive them at. */
  at(place: TargetPlace): TargetPlace {
    this.#place = place;
    return sealedPlace(place);
  }

  /** Notes what has arrived. */
  add(outcomes: readonly FileOutcome[]): void {
    for (const { path, savedAs, outcome, symlink } of outcomes) {
      if (symlink || !path.endsWith(SEALED_SUFFIX)) continue;
      // What arrived before the connection broke is the same now, and its outcome no longer says under which name.
      if (outcome === 'committed') this.#found.set(path, { savedAs, isNew: true });
      else if (outcome === 'same' && !this.#found.has(path)) this.#found.set(path, { savedAs, isNew: false });
    }
  }

  /** Opens all that have arrived. Throws CANCELLED; then the rest stays sealed. */
  async open(receipt: Receipt): Promise<Receipt> {
    const place = this.#place;
    if (place === undefined || this.#found.size === 0) return receipt;
    const { SealOpener } = await import('./seal-opener.ts');
    const opener = new SealOpener(this.#options);
    for (const [path, found] of this.#found) {
      if (this.#options.signal?.aborted) throw cancelled(this.#options.signal);
      const done = await openOne(opener, place, path, found);
      if (done === undefined) continue;
      if (done.outcome === 'failed') this.#failed += 1;
      if (done.outcome === 'skipped') this.#skipped += 1;
      // Failures first, as in the list of the files.
      if (done.outcome === 'failed') this.#opened.unshift(done);
      else if (this.#opened.length < this.#options.bound) this.#opened.push(done);
    }
    return this.#merged(receipt);
  }

  #merged(receipt: Receipt): Receipt {
    const opened = this.#opened.slice(0, this.#options.bound);
    const failures = opened.filter(({ outcome }) => outcome === 'failed');
    const failing = new Map(failures.map((file) => [file.path, file]));
    const outcomes = receipt.outcomes.map((outcome): FileOutcome => {
      const failure = failing.get(outcome.path);
      if (!failure) return outcome;
      const { code = 'INTERNAL', reason = '' } = failure;
      return { ...outcome, outcome: 'failed', code, reason };
    });
    const isBad = ({ outcome }: FileOutcome) => outcome === 'failed';
    const [first] = failures;
    const alarm = failures.some(({ code }) => code === 'INTEGRITY');
    const single = this.#found.size === 1 && receipt.outcomes.length === 1;
    const code =
      first === undefined || receipt.code === 'INTEGRITY'
        ? receipt.code
        : alarm
          ? 'INTEGRITY'
          : single
            ? (first.code ?? 'PARTIAL')
            : 'PARTIAL';
    return {
      ...receipt,
      files: receipt.files - this.#failed,
      failed: receipt.failed + this.#failed,
      skipped: receipt.skipped + this.#skipped,
      outcomes: [...outcomes.filter(isBad), ...outcomes.filter((outcome) => !isBad(outcome))],
      code,
      opened,
    };
  }
}

/** Finds out where a file went, and has it opened there. */
async function openOne(
  opener: SealOpener,
  place: TargetPlace,
  path: string,
  { savedAs, isNew }: Found,
): Promise<OpenedFile | undefined> {
  const [root = '', ...below] = path.split('/');
  const received = sealedPlace(place).names.find(([offered]) => offered === root)?.[1] ?? root;
  const wanted = place.names.find(([offered]) => offered === root)?.[1];
  const folders = [place.folder, ...place.below, ...(below.length === 0 ? [] : [received])];
  return await opener.open({
    path,
    isNew,
    folder: [...folders, ...below.slice(0, -1)].join('/'),
    name: savedAs ?? below.at(-1) ?? received,
    // A name of its own, where one file was asked for by it.
    given: below.length === 0 && wanted !== root ? withoutSuffix(wanted) : undefined,
  });
}

function withoutSuffix(name: string | undefined): string | undefined {
  return name?.endsWith(SEALED_SUFFIX) ? name.slice(0, -SEALED_SUFFIX.length) : name;
}
