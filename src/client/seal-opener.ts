/**
 * Opens a sealed file beside itself: it gets the name, time and mode from within once its last byte is proven, and the
 * sealed file goes. One that is broken goes without a trace. What was there before the transfer never goes.
 */
import fs from 'node:fs';
import { homedir } from 'node:os';
import { createDigest } from '../crypto/digest.ts';
import { SEAL_MAGIC } from '../crypto/envelope.ts';
import { type OpenedSeal, openSeal } from '../crypto/envelope-open.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ExistingPolicy } from '../protocol/messages.ts';
import type { OpenedFile } from '../session/report.ts';
import { cancelled, typed } from '../session/transfers.ts';
import type { TrustStore } from '../store/trust-store.ts';
import { sameInode } from '../transfer/entry-stat.ts';
import { Folder } from '../transfer/folder.ts';
import { freeNames } from '../transfer/free-name.ts';
import { checkName, type SafeName } from '../transfer/name.ts';
import { NOT_OLDER } from '../transfer/settlement.ts';
import { SourceFile } from '../transfer/source-file.ts';
import { TargetFile } from '../transfer/target-file.ts';
import { markOf } from './seal-mark.ts';

export interface OpenSealsOptions {
  readonly identity: Pick<Identity, 'fingerprint' | 'encryptionKey'>;
  readonly trust: TrustStore;
  /** Whatever key has sealed it. */
  readonly fromAnyone: boolean;
  readonly existing: ExistingPolicy;
  readonly durable: boolean;
  /** Nobody was asked about names: none that is hidden is written into the home folder. */
  readonly unattended: boolean;
  readonly signal: AbortSignal | undefined;
  /** Marks of sealed files that gets have brought and not opened: the next one may finish them. */
  readonly unopened: Set<string>;
}

/** A file that has arrived and may be sealed. */
export interface Arrived {
  /** As the transfer calls it. */
  readonly path: string;
  readonly folder: string;
  readonly name: string;
  /** What it is to be called, where not as it says within. */
  readonly given: string | undefined;
  /** This transfer has brought it. Otherwise it was there before, and is not ours to remove. */
  readonly isNew: boolean;
}

const READ_BYTES = 1024 * 1024;

export class SealOpener {
  readonly #options: OpenSealsOptions;
  /** Where what came out of seals so far is: two that are called the same within are two files. */
  readonly #opened = new Set<string>();

  constructor(options: OpenSealsOptions) {
    this.#options = options;
  }

  /** Undefined for what is no seal at all. Throws CANCELLED; what else goes wrong is in the answer. */
  async open(arrived: Arrived): Promise<OpenedFile | undefined> {
    const { path } = arrived;
    const sealed = checkName(arrived.name);
    try {
      using folder = Folder.open(arrived.folder);
      return await this.#openIn(folder, sealed, arrived);
    } catch (error) {
      const reason = typed(error);
      if (reason.code === 'CANCELLED' || reason.code === 'TERMINATED') throw reason;
      return { path, name: undefined, outcome: 'failed', code: reason.code, reason: reason.message };
    }
  }

  async #openIn(
    folder: Folder,
    sealed: SafeName,
    { path, given, isNew }: Arrived,
  ): Promise<OpenedFile | undefined> {
    const { unopened } = this.#options;
    const file = SourceFile.open(folder, sealed);
    const mark = markOf(file.stat);
    const mayGo = unopened.delete(mark) || isNew;
    const remove = () => {
      const there = mayGo && folder.lookup(sealed);
      // What was within may have taken its place, where it has the name that the server gave the seal.
      if (there && sameInode(there, file.stat)) folder.unlink(sealed);
    };
    try {
      if (!looksSealed(file)) return undefined;
      const seal = await this.#unlock(file);
      if (seal instanceof LocalstreamError)
        return { path, name: undefined, outcome: 'kept', code: seal.code, reason: seal.message };
      const name = checkName(given ?? seal.metadata.name);
      const written = await this.#write(folder, name, seal);
      if (written.outcome !== 'skipped') this.#opened.add(`${folder.path}/${written.name}`);
      remove();
      return { path, sealer: seal.sealer, ...written };
    } catch (error) {
      // Nobody can do anything with it: nothing of it stays.
      if (error instanceof LocalstreamError && ['INTEGRITY', 'NOT_TRUSTED'].includes(error.code)) remove();
      else if (mayGo) unopened.add(mark);
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
  ): Promise<Pick<OpenedFile, 'name' | 'outcome' | 'reason'>> {
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
      const isTaken = this.#opened.has(`${folder.path}/${name}`) && existing !== 'fail';
      const same = sameAs(
        folder,
        isTaken ? [name, ...takenNames(folder, name)] : [name],
        size,
        digest.digest(),
      );
      if (same !== undefined) {
        target.discard();
        return { name: same, outcome: 'same' };
      }
      if (isTaken) return { name: target.commit({ mode, mtime, policy: 'rename' }).name, outcome: 'opened' };
      const isLeft = found && (existing === 'skip' || (existing === 'update' && found.mtime >= mtime));
      if (isLeft) {
        target.discard();
        return { name, outcome: 'skipped', ...(existing === 'update' && { reason: NOT_OLDER }) };
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

/** Names in place of one, as far as they are taken. */
function takenNames(folder: Folder, name: SafeName): SafeName[] {
  const taken: SafeName[] = [];
  for (const other of freeNames(name)) {
    if (folder.lookup(other) === undefined) break;
    taken.push(other);
  }
  return taken;
}

/** The first of these names under which there is a file of this content. */
function sameAs(
  folder: Folder,
  names: readonly SafeName[],
  size: number,
  digest: Buffer,
): SafeName | undefined {
  return names.find((name) => {
    const found = folder.lookup(name);
    return found?.type === 'file' && found.size === size && holds(folder, name, digest);
  });
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
