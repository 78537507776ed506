/**
 * Opens sealed files that have arrived. They come as any file does, resumed and checked; then each that this machine can
 * read is opened beside itself, gets the name, time and mode from within once its last byte is proven, and the sealed file
 * goes. One that is broken goes without a trace.
 */
import * as fs from 'node:fs';
import { homedir } from 'node:os';
import { createDigest } from '../crypto/digest.ts';
import { SEAL_MAGIC } from '../crypto/envelope.ts';
import { type OpenedSeal, openSeal } from '../crypto/envelope-open.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ExistingPolicy } from '../protocol/messages.ts';
import type { FileOutcome, OpenedFile, Receipt } from '../session/report.ts';
import { cancelled, typed } from '../session/transfers.ts';
import type { TrustStore } from '../store/trust-store.ts';
import { Folder } from '../transfer/folder.ts';
import { checkName, type SafeName } from '../transfer/name.ts';
import { SEALED_SUFFIX } from '../transfer/sealed-source.ts';
import { SourceFile } from '../transfer/source-file.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { TargetFile } from '../transfer/target-file.ts';

export interface OpenSealsOptions {
  readonly identity: Pick<Identity, 'fingerprint' | 'encryptionKey'>;
  readonly trust: TrustStore;
  /** Whatever key has sealed it. */
  readonly fromAnyone: boolean;
  readonly existing: ExistingPolicy;
  readonly durable: boolean;
  /** Nobody was asked about names: none that is hidden is written into the home folder. */
  readonly unattended: boolean;
  /** Of what was opened, how many are named in the receipt. */
  readonly bound: number;
  readonly signal: AbortSignal | undefined;
}

const READ_BYTES = 1024 * 1024;

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
  readonly #options: OpenSealsOptions;
  readonly #found: { readonly path: string; readonly savedAs: string | undefined }[] = [];
  readonly #opened: OpenedFile[] = [];
  #place: TargetPlace | undefined;
  #failed = 0;
  #skipped = 0;

  constructor(options: OpenSealsOptions) {
    this.#options = options;
  }

  /** Where the files go. What it returns is the place to receive them at. */
  at(place: TargetPlace): TargetPlace {
    this.#place = place;
    return sealedPlace(place);
  }

  /** Notes what has arrived. */
  add(outcomes: readonly FileOutcome[]): void {
    for (const { path, savedAs, outcome } of outcomes) {
      const isThere = outcome === 'committed' || outcome === 'same';
      if (isThere && path.endsWith(SEALED_SUFFIX)) this.#found.push({ path, savedAs });
    }
  }

  /** Opens all that have arrived. Throws CANCELLED; then the rest stays sealed. */
  async open(receipt: Receipt): Promise<Receipt> {
    const place = this.#place;
    if (place === undefined || this.#found.length === 0) return receipt;
    for (const { path, savedAs } of this.#found) {
      if (this.#options.signal?.aborted) throw cancelled(this.#options.signal);
      const done = await this.#openOne(place, path, savedAs);
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
    const single = this.#found.length === 1 && receipt.outcomes.length === 1;
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

  async #openOne(
    place: TargetPlace,
    path: string,
    savedAs: string | undefined,
  ): Promise<OpenedFile | undefined> {
    const [root = '', ...below] = path.split('/');
    const received = sealedPlace(place).names.find(([offered]) => offered === root)?.[1] ?? root;
    const wanted = place.names.find(([offered]) => offered === root)?.[1];
    const folders = [place.folder, ...place.below, ...(below.length === 0 ? [] : [received])];
    const here = [...folders, ...below.slice(0, -1)].join('/');
    const name = checkName(savedAs ?? below.at(-1) ?? received);
    // A name of its own, where one file was asked for by it.
    const given = below.length === 0 && wanted !== root ? withoutSuffix(wanted) : undefined;
    try {
      using folder = Folder.open(here);
      return await this.#openIn(folder, name, path, given);
    } catch (error) {
      const reason = typed(error);
      if (reason.code === 'CANCELLED' || reason.code === 'TERMINATED') throw reason;
      return { path, name: undefined, outcome: 'failed', code: reason.code, reason: reason.message };
    }
  }

  /** Undefined for what is no seal at all. */
  async #openIn(
    folder: Folder,
    sealed: SafeName,
    path: string,
    given: string | undefined,
  ): Promise<OpenedFile | undefined> {
    const file = SourceFile.open(folder, sealed);
    try {
      if (!looksSealed(file)) return undefined;
      const seal = await this.#unlock(file);
      if (seal instanceof LocalstreamError)
        return { path, name: undefined, outcome: 'kept', code: seal.code, reason: seal.message };
      const name = checkName(given ?? seal.metadata.name);
      const written = await this.#write(folder, name, seal);
      folder.unlink(sealed);
      return { path, sealer: seal.sealer, ...written };
    } catch (error) {
      // Nobody can do anything with it: nothing of it stays.
      if (error instanceof LocalstreamError && ['INTEGRITY', 'NOT_TRUSTED'].includes(error.code))
        folder.unlink(sealed);
      throw error;
    } finally {
      file.close();
    }
  }

  /** What is sealed for others, or by a later localstream, is as good as it was at the server: that is returned. */
  async #unlock(file: SourceFile): Promise<OpenedSeal | LocalstreamError> {
    const { identity, trust, fromAnyone, signal } = this.#options;
    const accept = async (sealer: Fingerprint) =>
      fromAnyone || sealer === identity.fingerprint || (await trust.get(sealer)) !== undefined;
    try {
      return await openSeal(bytesOf(file, signal), { identity, accept });
    } catch (error) {
      const reason = typed(error);
      if (reason.code === 'NOT_ALLOWED' || reason.code === 'NOT_SUPPORTED') return reason;
      throw reason;
    }
  }

  async #write(
    folder: Folder,
    name: SafeName,
    seal: OpenedSeal,
  ): Promise<Pick<OpenedFile, 'name' | 'outcome'>> {
    const { durable, existing } = this.#options;
    this.#requireUnprotected(folder, name);
    const target = TargetFile.open(folder, name, { durable });
    try {
      const digest = createDigest();
      let size = 0;
      for await (const piece of seal.data) {
        target.writeAt(piece, size);
        digest.update(piece);
        size += piece.length;
      }
      const { mode } = seal.metadata;
      const mtime = microseconds(seal.metadata.mtime);
      const found = folder.lookup(name);
      if (found?.type === 'file' && found.size === size && holds(folder, name, digest.digest())) {
        target.discard();
        return { name, outcome: 'same' };
      }
      const isLeft = found && (existing === 'skip' || (existing === 'update' && found.mtime >= mtime));
      if (isLeft) {
        target.discard();
        return { name, outcome: 'skipped' };
      }
      const policy = existing === 'update' ? 'overwrite' : existing === 'skip' ? 'fail' : existing;
      return { name: target.commit({ mode, mtime, policy }).name, outcome: 'opened' };
    } catch (error) {
      target.discard();
      throw error;
    }
  }

  #requireUnprotected(folder: Folder, name: string): void {
    if (!this.#options.unattended || !name.startsWith('.')) return;
    const home = fs.statSync(homedir(), { bigint: true, throwIfNoEntry: false });
    const { device, inode } = folder.statSelf();
    if (home?.dev === device && home.ino === inode)
      throw errorOf('NOT_ALLOWED', 'hidden files are not written into the home folder');
  }
}

function withoutSuffix(name: string | undefined): string | undefined {
  return name?.endsWith(SEALED_SUFFIX) ? name.slice(0, -SEALED_SUFFIX.length) : name;
}

/** Milliseconds to microseconds, within what a number holds. */
function microseconds(milliseconds: number): number {
  const most = Math.floor(Number.MAX_SAFE_INTEGER / 1000);
  return Math.max(-most, Math.min(most, milliseconds)) * 1000;
}

function looksSealed(file: SourceFile): boolean {
  const start = Buffer.alloc(SEAL_MAGIC.length);
  return file.readAt(start, 0) === start.length && start.equals(SEAL_MAGIC);
}

async function* bytesOf(file: SourceFile, signal: AbortSignal | undefined): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  for (let position = 0; ; ) {
    if (signal?.aborted) throw cancelled(signal);
    const count = file.readAt(buffer, position);
    if (count === 0) return;
    position += count;
    yield buffer.subarray(0, count);
    // Other work goes on meanwhile.
    await new Promise(setImmediate);
  }
}

/** Whether a file that is there has this content. */
function holds(folder: Folder, name: SafeName, digest: Buffer): boolean {
  const file = SourceFile.open(folder, name);
  try {
    const there = createDigest();
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    for (let position = 0; ; ) {
      const count = file.readAt(buffer, position);
      if (count === 0) return there.digest().equals(digest);
      there.update(buffer.subarray(0, count));
      position += count;
    }
  } finally {
    file.close();
  }
}
