/** Standard input as a source and standard output as a target: bytes of unknown length, in order, once. */
import * as fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { ENTRY } from '../protocol/manifest.ts';
import { encodeName, type SafeName } from './name.ts';
import type { SourceEntry, SourceReader } from './source-tree.ts';
import { attempt, failedWith } from './system-error.ts';
import type { PartialFile, TargetStore } from './target-store.ts';

/** The descriptors of the process. */
export const STANDARD_INPUT = 0;
export const STANDARD_OUTPUT = 1;
/** How long a pipe that is not ready is left alone, in milliseconds. */
const PAUSE = 5;
const DEFAULT_MODE = 0o644;

/** A pipe that somebody made non-blocking says EAGAIN where it should wait. */
function untilReady<T>(step: () => T): T {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      return step();
    } catch (error) {
      if (!failedWith(error, 'EAGAIN')) throw error;
      Atomics.wait(clock, 0, 0, PAUSE);
    }
  }
}

/** The only entry of a transfer from a pipe. */
export function streamEntry<Reference>(name: string, reference: Reference): SourceEntry<Reference> {
  const entry = {
    kind: ENTRY.file,
    mode: DEFAULT_MODE,
    mtime: Date.now() * 1000,
    size: -1,
    name: encodeName(name),
    extra: Buffer.alloc(0),
  };
  return { entry, path: name, reference };
}

/** Reads a pipe to its end. */
export function openStream(descriptor: number): SourceReader {
  return {
    readAt: (buffer) =>
      attempt('read', 'standard input', () => {
        let filled = 0;
        while (filled < buffer.length) {
          const count = untilReady(() =>
            fs.readSync(descriptor, buffer, filled, buffer.length - filled, null),
          );
          if (count === 0) break;
          filled += count;
        }
        return filled;
      }),
    verifyUnchanged: () => {},
    close: () => {},
  };
}

function notHere(): never {
  throw errorOf('NOT_SUPPORTED', 'only one file can go to standard output');
}

/** Takes the bytes of the one file in their order. */
export type StreamSink = (bytes: Uint8Array) => void;

/** Writes to a pipe. */
export function toDescriptor(descriptor: number): StreamSink {
  return (bytes) =>
    attempt('write', 'standard output', () => {
      for (let done = 0; done < bytes.length; )
        done += untilReady(() => fs.writeSync(descriptor, bytes, done, bytes.length - done));
    });
}

/** Writes one file to a pipe, or into memory. What was written can't be taken back: a wrong digest shows in how it ends. */
export class StreamTarget implements TargetStore<true> {
  readonly #write: StreamSink;
  readonly #offered: string;

  constructor(sink: StreamSink, offered: string) {
    this.#write = sink;
    this.#offered = offered;
  }

  root(name: SafeName): { folder: true; name: SafeName; kind: 'file' } | undefined {
    return name === this.#offered ? { folder: true, name, kind: 'file' } : undefined;
  }

  excludes(): boolean {
    return false;
  }

  renamed(): undefined {
    return undefined;
  }

  protects(): boolean {
    return false;
  }

  present(): undefined {
    return undefined;
  }

  hasPartial(): boolean {
    return false;
  }

  freeBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  openPartial(_folder: true, name: SafeName): PartialFile {
    let written = 0;
    const write = (bytes: Buffer) => {
      this.#write(bytes);
      written += bytes.length;
    };
    return {
      held: 0,
      writeAt: (bytes, position) => {
        if (position !== written) throw errorOf('BAD_MESSAGE', 'bytes for a pipe came out of order');
        write(bytes);
      },
      hole: (_position, length) => {
        const zeros = Buffer.alloc(Math.min(length, 1024 * 1024));
        for (let left = length; left > 0; left -= zeros.length)
          write(zeros.subarray(0, Math.min(left, zeros.length)));
      },
      readAt: () => 0,
      sync: () => {},
      commit: () => name,
      keep: () => {},
      discard: () => {},
    };
  }

  writeSmall(_folder: true, name: SafeName, bytes: Buffer): SafeName {
    this.#write(bytes);
    return name;
  }

  enter(): never {
    return notHere();
  }

  enterNew(): never {
    return notHere();
  }

  peek(): undefined {
    return undefined;
  }

  leave(): void {}

  remove(): void {}

  openBasis(): never {
    return notHere();
  }

  link(): never {
    return notHere();
  }

  linkTarget(): never {
    return notHere();
  }

  finish(): void {}

  close(): void {}
}
