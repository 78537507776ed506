/** A source that sends whatever a test says, to a receiver that writes real files; and what must never come of it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { type ErrorCode, LocalstreamError } from '../../src/errors.ts';
import {
  FLAG_HOLE,
  FLAG_LAST,
  FRAME,
  type FrameHeader,
  type FrameType,
  HEADER_BYTES,
  makeFrame,
  maxPayload,
  readHeader,
} from '../../src/protocol/frame.ts';
import {
  ENTRY,
  encodeDone,
  encodeEnd,
  encodeFailed,
  entryBytes,
  type ManifestEntry,
  PACK_FIXED,
  writeEntry,
  writePackHeader,
} from '../../src/protocol/manifest.ts';
import type { ExistingPolicy, OfferedRoot } from '../../src/protocol/messages.ts';
import { newCounters, type Settled } from '../../src/transfer/progress.ts';
import { Receiver } from '../../src/transfer/receiver.ts';
import { type TargetFolder, type TargetPlace, TargetTree } from '../../src/transfer/target.ts';
import { placeFor, quickFolder } from './engine-run.ts';
import { picture } from './workplace.ts';

const CHUNK = 4 * 1024 * 1024;

/** One entry of a manifest; what is not said is harmless. */
export function entry(
  kind: keyof typeof ENTRY,
  name: string | Buffer = '',
  more: Partial<Pick<ManifestEntry, 'size' | 'mode' | 'mtime'>> & { readonly extra?: string | Buffer } = {},
): ManifestEntry {
  const { size = kind === 'failed' ? 410 : 0, mode = 0o644, mtime = 0, extra = '' } = more;
  return { kind: ENTRY[kind], mode, mtime, size, name: Buffer.from(name), extra: Buffer.from(extra) };
}

/** The payload of a batch. */
function batchOf(entries: readonly ManifestEntry[]): Buffer {
  const payload = Buffer.alloc(entries.reduce((sum, one) => sum + entryBytes(one), 0));
  let offset = 0;
  for (const one of entries) offset = writeEntry(payload, one, offset);
  return payload;
}

/** The payload of a pack. */
function packOf(files: readonly { index: number; bytes: Buffer; digest?: Buffer }[]): Buffer {
  return Buffer.concat(
    files.flatMap(({ index, bytes, digest = digestOf(bytes) }) => {
      const header = Buffer.alloc(PACK_FIXED);
      writePackHeader(header, index, bytes.length, digest, 0);
      return [header, bytes];
    }),
  );
}

/** The payload of a data frame. */
function dataOf(position: number | bigint, bytes: Buffer): Buffer {
  const offset = Buffer.alloc(8);
  offset.writeBigUInt64BE(BigInt(position));
  return Buffer.concat([offset, bytes]);
}

/** The payload of a hole. */
function holeOf(position: number | bigint, length: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return dataOf(position, bytes);
}

/** The payload of rows of SAME. */
function sameOf(rows: readonly { index: number; digest: Buffer }[]): Buffer {
  return Buffer.concat(rows.flatMap(({ index, digest }) => [Buffer.of(index >> 8, index & 0xff), digest]));
}

export interface VictimOptions {
  readonly existing?: ExistingPolicy;
  readonly offered?: readonly (readonly [name: string, kind: OfferedRoot['type']])[];
  readonly place?: Partial<TargetPlace>;
}

/** A receiver in a folder of its own, with things around it that must stay as they are. */
export class Victim {
  readonly target: string;
  readonly outside: string;
  readonly rows: Settled[] = [];
  readonly answers: { readonly header: FrameHeader; readonly payload: Buffer }[] = [];
  readonly receiver: Receiver<TargetFolder>;
  readonly store: TargetTree;
  readonly #before: unknown;

  /** `prepare` fills the target; it is offered a folder called `root` unless the options say otherwise. */
  constructor(t: TestContext, options: VictimOptions = {}, prepare: (target: string) => void = () => {}) {
    const { existing = 'overwrite', offered = [['root', 'folder']], place = {} } = options;
    // Registered first, so that the folder is still there.
    t.after(() => this.#finish());
    const base = quickFolder(t);
    this.outside = join(base, 'outside');
    this.target = join(base, 'target');
    mkdirSync(join(this.outside, 'folder'), { recursive: true });
    writeFileSync(join(this.outside, 'precious'), 'precious');
    mkdirSync(this.target);
    prepare(this.target);
    this.#before = picture(this.outside);
    const names = offered.map(([name, kind]): [string, string, OfferedRoot['type']] => [name, name, kind]);
    this.store = new TargetTree(placeFor(this.target, [], { names, ...place }));
    this.receiver = new Receiver(this.store, {
      existing,
      blind: place.blind ?? false,
      dryRun: false,
      trustMtime: false,
      verify: false,
      counters: newCounters(),
      emit: (frame) => {
        const header = readHeader(frame, maxPayload(CHUNK));
        this.answers.push({ header, payload: Buffer.from(frame.subarray(HEADER_BYTES)) });
      },
      settled: (rows) => this.rows.push(...rows),
      aborted: () => false,
    });
  }

  /** Feeds one frame, as it would come from a lane, and does the work that follows from it. */
  take(type: FrameType, payload: Buffer, at: Partial<FrameHeader> = {}): void {
    const frame = makeFrame(type, payload, at);
    const header = readHeader(frame, maxPayload(CHUNK));
    this.receiver.receive(header, frame.subarray(HEADER_BYTES));
    frame.fill(0xa5);
    while (this.receiver.step()) {}
  }

  manifest(entries: readonly ManifestEntry[], batch = 0, last = true): void {
    this.take(FRAME.manifest, batchOf(entries), { batch, flags: last ? FLAG_LAST : 0 });
  }

  pack(files: readonly { index: number; bytes: Buffer; digest?: Buffer }[], batch = 0): void {
    this.take(FRAME.pack, packOf(files), { batch });
  }

  data(index: number, position: number | bigint, bytes: Buffer, batch = 0): void {
    this.take(FRAME.data, dataOf(position, bytes), { index, batch });
  }

  hole(index: number, position: number | bigint, length: number | bigint, batch = 0): void {
    this.take(FRAME.data, holeOf(position, length), { index, batch, flags: FLAG_HOLE });
  }

  end(index: number, size: number, digest: Buffer, batch = 0): void {
    this.take(FRAME.end, encodeEnd(size, digest), { index, batch });
  }

  same(rows: readonly { index: number; digest: Buffer }[], batch = 0): void {
    this.take(FRAME.same, sameOf(rows), { batch });
  }

  failed(index: number, flag: number, reason: string, batch = 0): void {
    this.take(FRAME.failed, encodeFailed(flag, reason), { index, batch });
  }

  done(batches: number, entries: number): void {
    this.take(FRAME.done, encodeDone(batches, entries, this.receiver.manifestDigest), {});
  }

  /** Asserts that a step ends the transfer with this code. */
  refuses(code: ErrorCode, step: () => void): void {
    assert.throws(step, (error) => {
      assert.ok(error instanceof LocalstreamError, String(error));
      assert.equal(error.code, code, error.message);
      return true;
    });
  }

  /** What is said of an entry. */
  row(path: string): Settled | undefined {
    return this.rows.find((row) => row.path === path);
  }

  #finish(): void {
    if (!this.receiver.finished) this.receiver.abort();
    this.store.close();
    assert.deepEqual(picture(this.outside), this.#before, 'something outside was touched');
  }
}
