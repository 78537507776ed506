/**
 * A sender and a receiver over real files, joined in memory: frames go back and forth in an order that a number decides,
 * so that thousands of transfers run in seconds and each can be run again.
 */
import { existsSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  FLAG_HOLE,
  FRAME,
  type FrameHeader,
  HEADER_BYTES,
  maxPayload,
  OFFSET_BYTES,
  readHeader,
} from '../../src/protocol/frame.ts';
import { PACK_FIXED, readPack } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy, OfferedRoot } from '../../src/protocol/messages.ts';
import { type Counters, newCounters, type Settled } from '../../src/transfer/progress.ts';
import { Receiver } from '../../src/transfer/receiver.ts';
import { Sender } from '../../src/transfer/sender.ts';
import { openSourceTree, type SourceHandle, type SourceSpec } from '../../src/transfer/source.ts';
import {
  NO_EARLIER_PART,
  type TargetFolder,
  type TargetPlace,
  TargetTree,
} from '../../src/transfer/target.ts';

/** A folder that goes with the test, in memory where the system has such a place: no disk slows thousands of cases. */
export function quickFolder(t: TestContext): string {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = realpathSync(mkdtempSync(join(base, 'localstream-test-')));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Numbers that look like chance and are the same for the same seed. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

export interface RunOptions {
  /** What is sent. */
  readonly sources: readonly string[];
  /** The folder that it goes into. */
  readonly target: string;
  readonly chunk?: number;
  readonly existing?: ExistingPolicy;
  readonly place?: Partial<TargetPlace>;
  readonly follow?: boolean;
  /** Decides in which order the two ends work. */
  readonly seed?: number;
  /** Frames after which the link is cut, both directions counted. */
  readonly cutAfter?: number;
  /** May change a frame on its way, or do something to the files meanwhile. */
  readonly onFrame?: (
    frame: Buffer,
    to: 'receiver' | 'sender',
    count: number,
  ) => Buffer | Buffer[] | undefined;
}

export interface Run {
  /** What each end says of each entry, in the order in which they were settled. */
  readonly sent: Settled[];
  readonly received: Settled[];
  /** File bytes that crossed, holes not counted. */
  readonly moved: number;
  readonly frames: number;
  readonly finished: boolean;
  readonly error: { readonly side: 'sender' | 'receiver'; readonly error: unknown } | undefined;
  readonly senderCounters: Counters;
  readonly receiverCounters: Counters;
  readonly digests: { readonly manifest: string[]; readonly outcomes: string[] };
}

const kindOf = (source: string): OfferedRoot['type'] => (statSync(source).isDirectory() ? 'folder' : 'file');

/** The place of some sources in a folder, under their own names. */
export function placeFor(
  target: string,
  sources: readonly string[],
  more: Partial<TargetPlace> = {},
): TargetPlace {
  return {
    folder: target,
    below: [],
    names: sources.map((source) => [basename(source), basename(source), kindOf(source)]),
    durable: false,
    reserve: 0,
    blind: false,
    earlier: NO_EARLIER_PART,
    dryRun: false,
    trustMtime: false,
    verify: false,
    rules: undefined,
    stream: false,
    protectedFolder: undefined,
    ...more,
  };
}

/** File bytes that a frame carries. */
export function fileBytes(frame: Buffer, header: FrameHeader): number {
  const payload = frame.subarray(HEADER_BYTES);
  if (header.type === FRAME.data) return (header.flags & FLAG_HOLE) !== 0 ? 0 : header.length - OFFSET_BYTES;
  if (header.type !== FRAME.pack) return 0;
  let bytes = 0;
  for (const file of readPack(payload)) bytes += file.bytes.length;
  return bytes > header.length - PACK_FIXED ? 0 : bytes;
}

/** Frames that may be on their way to the receiver: so many slots has the real thing. */
const SLOTS = 4;

interface Ends {
  readonly tree: ReturnType<typeof openSourceTree>;
  readonly store: TargetTree;
  readonly sender: Sender<SourceHandle>;
  readonly receiver: Receiver<TargetFolder>;
}

class Exchange {
  readonly sent: Settled[] = [];
  readonly received: Settled[] = [];
  readonly senderCounters = newCounters();
  readonly receiverCounters = newCounters();
  moved = 0;
  frames = 0;
  error: Run['error'];
  readonly #ends: Ends;
  readonly #options: RunOptions;
  readonly #limit: number;
  readonly #slot: Buffer;
  readonly #toReceiver: Buffer[] = [];
  readonly #toSender: Buffer[] = [];
  readonly #random: (below: number) => number;
  #senderDone = false;

  constructor(options: RunOptions) {
    const { chunk = 65_536, existing = 'fail', place, sources, target, seed = 1 } = options;
    this.#options = options;
    this.#limit = maxPayload(chunk);
    this.#slot = Buffer.alloc(HEADER_BYTES + this.#limit);
    this.#random = randomNumbers(seed);
    const specs: SourceSpec[] = sources.map((path) => ({ kind: 'named', path }));
    const tree = openSourceTree(specs, { rules: undefined, follow: options.follow ?? false });
    const store = new TargetTree(placeFor(target, sources, place));
    this.#ends = {
      tree,
      store,
      sender: new Sender(tree, {
        chunk,
        counters: this.senderCounters,
        settled: (rows) => this.sent.push(...rows),
      }),
      receiver: new Receiver(store, {
        existing,
        blind: place?.blind ?? false,
        dryRun: place?.dryRun ?? false,
        trustMtime: place?.trustMtime ?? false,
        verify: place?.verify ?? false,
        counters: this.receiverCounters,
        emit: (frame) => this.#emit(frame),
        settled: (rows) => this.received.push(...rows),
        aborted: () => false,
      }),
    };
  }

  run(): Run {
    const { cutAfter = Number.POSITIVE_INFINITY } = this.#options;
    try {
      while (!this.error && !this.#isOver() && this.frames < cutAfter) this.#turn();
      return this.#result();
    } finally {
      this.#putAway();
    }
  }

  #result(): Run {
    const { sender, receiver } = this.#ends;
    const { sent, received, moved, frames, error, senderCounters, receiverCounters } = this;
    const finished = this.#isOver() && !error;
    const digests = {
      manifest: [sender.manifestDigest, receiver.manifestDigest].map((digest) => digest.toString('hex')),
      outcomes: [sender.outcomeDigest, receiver.outcomeDigest].map((digest) => digest.toString('hex')),
    };
    return { sent, received, moved, frames, finished, error, senderCounters, receiverCounters, digests };
  }

  #putAway(): void {
    const { sender, receiver, store, tree } = this.#ends;
    if (!receiver.finished) receiver.abort();
    store.close();
    sender.close();
    tree[Symbol.dispose]();
  }

  #isOver(): boolean {
    return this.#senderDone && this.#ends.receiver.finished && this.#toSender.length === 0;
  }

  /** One of the things that can be done now, chosen by chance. */
  #turn(): void {
    const steps: (() => boolean)[] = [
      () => this.#produce(),
      () => this.#deliver('receiver'),
      () => this.#deliver('sender'),
      () => this.#step(),
    ];
    const first = this.#random(steps.length);
    for (let tried = 0; tried < steps.length; tried += 1)
      if (steps[(first + tried) % steps.length]?.() || this.error) return;
    if (!this.#isOver()) throw new Error('both ends wait for each other');
  }

  /** It says whether there is more to do; what it did shows in what it sent. */
  #step(): boolean {
    const before = this.frames;
    const more = this.#guard('receiver', () => this.#ends.receiver.step()) ?? false;
    return more || this.frames > before;
  }

  #produce(): boolean {
    if (this.#senderDone || this.#toReceiver.length >= SLOTS) return false;
    const produced = this.#guard('sender', () => this.#ends.sender.next(this.#slot));
    if (produced === undefined || produced === 'wait') return false;
    if (produced === 'finished') this.#senderDone = true;
    if (typeof produced !== 'number') return true;
    const frame = Buffer.from(this.#slot.subarray(0, produced));
    // The slot is used again: nothing may still point into it.
    this.#slot.fill(0xa5);
    this.moved += fileBytes(frame, readHeader(frame, this.#limit));
    this.#send(frame, 'receiver', this.#toReceiver);
    return true;
  }

  #emit(frame: Buffer): void {
    this.#send(Buffer.from(frame), 'sender', this.#toSender);
  }

  #send(frame: Buffer, to: 'receiver' | 'sender', queue: Buffer[]): void {
    this.frames += 1;
    const changed = this.#options.onFrame?.(frame, to, this.frames) ?? frame;
    queue.push(...(Array.isArray(changed) ? changed : [changed]));
  }

  #deliver(to: 'receiver' | 'sender'): boolean {
    const frame = (to === 'receiver' ? this.#toReceiver : this.#toSender).shift();
    if (!frame) return false;
    this.#guard(to, () => {
      const header = readHeader(frame, this.#limit);
      this.#ends[to].receive(header, frame.subarray(HEADER_BYTES, HEADER_BYTES + header.length));
      frame.fill(0xa5);
    });
    return true;
  }

  #guard<Result>(side: 'sender' | 'receiver', step: () => Result): Result | undefined {
    try {
      return step();
    } catch (error) {
      this.error = { side, error };
      return undefined;
    }
  }
}

/** Runs one transfer, to its end or until it is cut. */
export function transfer(options: RunOptions): Run {
  return new Exchange(options).run();
}
