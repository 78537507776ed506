/** Standard input as a source and standard output as a target: bytes of unknown length, in order, once. */
import fs from 'node:fs';
import { errorOf, systemCode } from '../errors.ts';
import { ENTRY } from '../protocol/manifest.ts';
import { encodeName, type SafeName } from './name.ts';
import type { SourceEntry, SourceReader } from './source-tree.ts';
import { attempt, failedWith } from './system-error.ts';
import type { PartialFile, TargetStore } from './target-store.ts';

/** The descriptors of the process. */
export const STANDARD_INPUT = 0;
export const STANDARD_OUTPUT = 1;
/** How long a pipe that is not ready is left alone, in milliseconds: at first, before long, and at the most. */
const FIRST_PAUSE = 0.02;
const USUAL_PAUSE = 20;
const MOST_PAUSE = 100;
/** Which part of the time that was waited may be waited too long: a program that is slow is hardly made slower. */
const LATENESS = 1 / 8;
const DEFAULT_MODE = 0o644;
// Windows has none of these.
const { O_NONBLOCK = 0, O_NOCTTY = 0 } = fs.constants;
const NO_WAITING = O_NONBLOCK | O_NOCTTY;

/** Whether a transfer has been ended: what waits for a pipe must see it. */
export type IsAborted = () => boolean;

/** How long a pipe is left alone after `waited` milliseconds, of which the last `pause` at once. Each look takes the processor. */
export function nextPause(pause: number, waited: number): number {
  if (waited === 0) return FIRST_PAUSE;
  return Math.min(2 * pause, Math.max(USUAL_PAUSE, waited * LATENESS), MOST_PAUSE);
}

/** Does a step on a pipe as soon as that is ready. Throws CANCELLED when the transfer is ended meanwhile. */
function untilReady<T>(step: () => T, aborted: IsAborted): T {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  let pause = 0;
  for (let waited = 0; ; waited += pause) {
    if (aborted()) throw errorOf('CANCELLED');
    try {
      return step();
    } catch (error) {
      if (!failedWith(error, 'EAGAIN')) throw error;
      pause = nextPause(pause, waited);
      Atomics.wait(clock, 0, 0, pause);
    }
  }
}

/**
 * A descriptor of this process's own for one that it was given, which never waits: a thread that waits for a pipe hears
 * of nothing else, not even that the process is to end. That of others stays as it is. Where there is no such way (files,
 * which never wait, and sockets, see {@link wakeInput}) it is the given one.
 */
function unblocked(descriptor: number, access: number): number {
  try {
    const stats = fs.fstatSync(descriptor);
    if (stats.isFIFO() || stats.isCharacterDevice())
      return fs.openSync(`/proc/self/fd/${descriptor}`, access | NO_WAITING);
  } catch (error) {
    // Another user's pipe, or a system without /proc: it is as good as it was.
    if (systemCode(error) === undefined) throw error;
  }
  return descriptor;
}

function closeOwn(descriptor: number, given: number): void {
  if (descriptor !== given) fs.closeSync(descriptor);
}

/** For the main thread, before another one reads standard input. A socket stops waiting once Node.js has it as a stream. */
export function wakeInput(): void {
  if (fs.fstatSync(STANDARD_INPUT).isSocket()) void process.stdin;
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
export function openStream(given: number, aborted: IsAborted): SourceReader {
  const descriptor = unblocked(given, fs.constants.O_RDONLY);
  return {
    readAt: (buffer) =>
      attempt('read', 'standard input', () => {
        let filled = 0;
        while (filled < buffer.length) {
          const count = untilReady(
            () => fs.readSync(descriptor, buffer, filled, buffer.length - filled, null),
            aborted,
          );
          if (count === 0) break;
          filled += count;
        }
        return filled;
      }),
    verifyUnchanged: () => {},
    close: () => closeOwn(descriptor, given),
  };
}

function notHere(): never {
  throw errorOf('NOT_SUPPORTED', 'only one file can go to standard output');
}

/** Takes the bytes of the one file in their order. */
export interface StreamSink {
  write(bytes: Uint8Array): void;
  close?(): void;
}

/** Writes to a pipe. */
export function toDescriptor(given: number, aborted: IsAborted): StreamSink {
  const descriptor = unblocked(given, fs.constants.O_WRONLY);
  return {
    write: (bytes) =>
      attempt('write', 'standard output', () => {
        for (let done = 0; done < bytes.length; )
          done += untilReady(() => fs.writeSync(descriptor, bytes, done, bytes.length - done), aborted);
      }),
    close: () => closeOwn(descriptor, given),
  };
}

/** Writes one file to a pipe, or into memory. What was written can't be taken back: a wrong digest shows in how it ends. */
export class StreamTarget implements TargetStore<true> {
  readonly #sink: StreamSink;
  readonly #offered: string;

  constructor(sink: StreamSink, offered: string) {
    this.#sink = sink;
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
      this.#sink.write(bytes);
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
    this.#sink.write(bytes);
    return name;
  }

  enter(): never {
    return notHere();
  }

  isUnmade(): boolean {
    return false;
  }

  make(): never {
    return notHere();
  }

  isOvertaken(): boolean {
    return false;
  }

  makeWith(): boolean {
    return false;
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

  close(): void {
    this.#sink.close?.();
  }
}
