import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../config.ts';
import { systemCode } from '../errors.ts';
import { syncFolder } from './atomic-file.ts';
import { ensurePrivateFolder, type Home, unusable } from './home.ts';
import {
  type DamagedLine,
  fileLines,
  linesOf,
  MOST_LINE,
  parseLine,
  type ReceiptEnd,
  type ReceiptFile,
  type ReceiptLine,
  type ReceiptSignature,
  type ReceiptStart,
  textOf,
} from './receipt-lines.ts';

/** What is gathered before it is written, in characters. */
const BATCH = 64 * 1024;
const DAY = 86_400_000;

/** A stored receipt in short. `end` is undefined while the transfer runs, or when its process died. */
export interface ReceiptSummary extends ReceiptStart {
  /** Its file's name, for {@link ReceiptStore.read}. */
  readonly name: string;
  readonly end: ReceiptEnd | undefined;
}

const NAME = /^\d{8}T\d{9}Z-[\w-]{1,64}-(?:send|receive)-[0-9a-f]{8}\.ndjson$/;

/**
 * The receipts of all transfers, one file of lines each: a million outcomes are written and read in small memory, and
 * what a killed process wrote stays readable.
 */
export class ReceiptStore {
  readonly #folder: string;
  readonly #bounds: Settings['receipts'];

  constructor(home: Home, bounds: Settings['receipts']) {
    this.#folder = home.receipts;
    this.#bounds = bounds;
  }

  /**
   * Begins the receipt of a transfer.
   * @throws STATE when it can't be written.
   */
  async create(start: ReceiptStart): Promise<ReceiptWriter> {
    ensurePrivateFolder(this.#folder);
    const time = start.started.toISOString().replaceAll(/[-:.]/g, '');
    const id = start.transferId.replaceAll(/[^\w-]/g, '_').slice(0, 64) || '_';
    const name = `${time}-${id}-${start.direction}-${randomBytes(4).toString('hex')}.ndjson`;
    const path = join(this.#folder, name);
    try {
      const handle = await open(path, 'wx', 0o600);
      await this.#prune();
      return new ReceiptWriter(handle, path, start);
    } catch (error) {
      throw unusable(path, error);
    }
  }

  /** The names of all receipts, newest first. */
  async names(): Promise<string[]> {
    try {
      return (await readdir(this.#folder, { withFileTypes: true }))
        .filter((entry) => entry.isFile() && NAME.test(entry.name))
        .map(({ name }) => name)
        .sort()
        .reverse();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw unusable(this.#folder, error);
    }
  }

  /** All receipts in short, newest first; what is damaged at its start is left out. */
  async *list(filter: { readonly since?: Date } = {}): AsyncGenerator<ReceiptSummary, void> {
    for (const name of await this.names()) {
      const summary = await this.#summary(name).catch((error) => {
        // Another process has just removed it.
        if (systemCode(error) === 'ENOENT') return undefined;
        throw unusable(join(this.#folder, name), error);
      });
      if (summary === undefined) continue;
      if (filter.since !== undefined && summary.started < filter.since) return;
      yield summary;
    }
  }

  /**
   * The lines of one receipt, in small memory.
   * @throws STATE when there is none of this name or it can't be read.
   */
  async *read(name: string): AsyncGenerator<ReceiptLine | DamagedLine, void> {
    const path = join(this.#folder, name);
    if (!NAME.test(name)) throw unusable(path, undefined, 'that is not the name of a receipt');
    let number = 0;
    try {
      for await (const text of linesOf(path)) {
        number += 1;
        yield parseLine(text) ?? { line: 'damaged', number };
      }
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      throw unusable(path, error);
    }
  }

  async #summary(name: string): Promise<ReceiptSummary | undefined> {
    const handle = await open(join(this.#folder, name), 'r');
    try {
      const { size } = await handle.stat();
      const [head] = (await readAt(handle, 0, BATCH)).split('\n', 1);
      const start = parseLine(head ?? '');
      if (start?.line !== 'start') return undefined;
      const last = parseLine(await lastLine(handle, size));
      const { line: _, version: __, ...beginning } = start;
      if (last?.line !== 'end') return { ...beginning, name, end: undefined };
      const { line: ___, ...end } = last;
      return { ...beginning, name, end };
    } finally {
      await handle.close();
    }
  }

  /** Removes what is beyond the bounds. The newest stay, so a receipt that is being written is safe. */
  async #prune(): Promise<void> {
    const oldest = new Date(Date.now() - this.#bounds.maxDays * DAY).toISOString().replaceAll(/[-:.]/g, '');
    const names = await this.names();
    const surplus = names.filter((name, index) => index >= this.#bounds.keep || name < oldest);
    for (const name of surplus) await unlink(join(this.#folder, name)).catch(() => {});
  }
}

/** Writes one receipt; {@link ReceiptWriter.finish} completes it. */
export class ReceiptWriter implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly path: string;
  #pending: string;
  #closed = false;

  /** @internal See {@link ReceiptStore.create}. */
  constructor(handle: FileHandle, path: string, start: ReceiptStart) {
    this.#handle = handle;
    this.path = path;
    this.#pending = textOf({ line: 'start', version: 1, ...start });
  }

  /**
   * Adds what became of some files. To be awaited, one after the other: that is what bounds the memory.
   * @throws STATE when it can't be written.
   */
  async files(outcomes: readonly ReceiptFile[]): Promise<void> {
    this.#pending += fileLines(outcomes);
    if (this.#pending.length >= BATCH) await this.#write();
  }

  /**
   * Completes the receipt and brings it to the disk.
   * @throws STATE when it can't be written.
   */
  async finish(end: ReceiptEnd, signature?: ReceiptSignature): Promise<void> {
    if (signature !== undefined) this.#pending += textOf({ line: 'signed', ...signature });
    this.#pending += textOf({ line: 'end', ...end });
    try {
      await this.#write();
      await this.#sync();
    } finally {
      await this.close();
    }
  }

  /** Closes the file as it is; without {@link finish} it shows as cut short. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#pending !== '') await this.#handle.appendFile(this.#pending);
    } catch {
      // What is missing shows as a receipt without an end.
    } finally {
      await this.#handle.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #sync(): Promise<void> {
    try {
      await this.#handle.datasync();
      await syncFolder(join(this.path, '..'));
    } catch (error) {
      throw unusable(this.path, error);
    }
  }

  async #write(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    try {
      await this.#handle.appendFile(text);
    } catch (error) {
      // Whoever adds to it learns here that it is lost, and finishes it no more.
      await this.close();
      throw unusable(this.path, error);
    }
  }
}

/** It names all roots of the transfer, and is as long as that. */
async function lastLine(handle: FileHandle, size: number): Promise<string> {
  for (let length = BATCH; ; length *= 4) {
    const tail = (await readAt(handle, Math.max(0, size - length), length)).trimEnd();
    const end = tail.lastIndexOf('\n');
    if (end >= 0 || length >= Math.min(size, MOST_LINE)) return tail.slice(end + 1);
  }
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<string> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.toString('utf8', 0, bytesRead);
}
