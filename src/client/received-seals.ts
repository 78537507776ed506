/**
 * The sealed files among what a get brings. They come as any file does, resumed and checked; when all have arrived, each
 * that this machine can read is opened beside itself, and the receipt says what became of it. A get that is stopped before
 * notes those that it has brought: whichever opens them removes them, too.
 */
import { errorOf } from '../errors.ts';
import type { FileOutcome, OpenedFile, Receipt } from '../session/report.ts';
import { cancelled } from '../session/transfers.ts';
import type { UnopenedSeals } from '../store/unopened-seals.ts';
import { SEALED_SUFFIX } from '../transfer/name.ts';
import type { TargetPlace } from '../transfer/target.ts';
import type { Arrived, OpenSealsOptions } from './seal-opener.ts';

interface ReceivedSealsOptions extends Omit<OpenSealsOptions, 'unopened'> {
  /** Of what was opened, how many are named in the receipt. */
  readonly bound: number;
  /** They stay as they are. */
  readonly keep: boolean;
  readonly unopened: UnopenedSeals;
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
  #places: { readonly wanted: TargetPlace; readonly received: TargetPlace } | undefined;
  #failed = 0;
  #skipped = 0;

  constructor(options: ReceivedSealsOptions) {
    this.#options = options;
  }

  /** Where the files go. What it returns is the place to receive them at. */
  at(place: TargetPlace): TargetPlace {
    const received = this.#options.keep ? place : sealedPlace(place);
    this.#places = { wanted: place, received };
    return received;
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

  /** Follows a get to its end, and opens what it has brought. Throws what it throws, and CANCELLED. */
  async follow(get: Promise<Receipt>): Promise<Receipt> {
    const { keep, unopened } = this.#options;
    let receipt: Receipt;
    try {
      receipt = await get;
    } catch (error) {
      if (!keep && this.#found.size > 0) await unopened.change((marks) => this.#note(marks, this.#found));
      throw error;
    }
    if (this.#found.size === 0) return receipt;
    if (!keep) return await unopened.change((marks) => this.#open(receipt, marks));
    await unopened.change((marks) => this.#forget(marks));
    return receipt;
  }

  async #open(receipt: Receipt, unopened: Set<string>): Promise<Receipt> {
    const { signal, bound } = this.#options;
    const { SealOpener } = await import('./seal-opener.ts');
    const opener = new SealOpener({ ...this.#options, unopened });
    const left = new Map(this.#found);
    try {
      for (const [path, found] of this.#found) {
        if (signal?.aborted) throw cancelled(signal);
        left.delete(path);
        const done = await opener.open(this.#arrived(path, found));
        if (done === undefined) continue;
        if (done.outcome === 'failed') this.#failed += 1;
        if (done.outcome === 'skipped') this.#skipped += 1;
        // Failures first, as in the list of the files.
        if (done.outcome === 'failed') this.#opened.unshift(done);
        else if (this.#opened.length < bound) this.#opened.push(done);
      }
    } catch (error) {
      await this.#note(unopened, left);
      throw error;
    }
    return this.#merged(receipt);
  }

  /** The next get may finish with those that this one has brought. */
  async #note(marks: Set<string>, left: ReadonlyMap<string, Found>): Promise<void> {
    const { markAt } = await import('./seal-mark.ts');
    for (const [path, found] of left) {
      if (!found.isNew) continue;
      const mark = markAt(this.#arrived(path, found));
      if (mark !== undefined) marks.add(mark);
    }
  }

  /** Those that are there are wanted as they are from now on, whoever has brought them. */
  async #forget(marks: Set<string>): Promise<void> {
    if (marks.size === 0) return;
    const { markAt } = await import('./seal-mark.ts');
    for (const [path, found] of this.#found) marks.delete(markAt(this.#arrived(path, found)) ?? '');
  }

  /** Where a file has gone. */
  #arrived(path: string, { savedAs, isNew }: Found): Arrived {
    if (this.#places === undefined) throw errorOf('INTERNAL', 'a file came before its place was known');
    const { wanted, received } = this.#places;
    const [root = '', ...below] = path.split('/');
    const nameIn = ({ names }: TargetPlace) => names.find(([offered]) => offered === root)?.[1];
    const [asked, name = root] = [nameIn(wanted), nameIn(received)];
    const folders = [received.folder, ...received.below, ...(below.length === 0 ? [] : [name])];
    return {
      path,
      isNew,
      folder: [...folders, ...below.slice(0, -1)].join('/'),
      name: savedAs ?? below.at(-1) ?? name,
      // A name of its own, where one file was asked for by it.
      given: below.length === 0 && asked !== root ? withoutSuffix(asked) : undefined,
    };
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

function withoutSuffix(name: string | undefined): string | undefined {
  return name?.endsWith(SEALED_SUFFIX) ? name.slice(0, -SEALED_SUFFIX.length) : name;
}
