import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { flagNumber } from '../../src/protocol/flags.ts';
import {
  FLAG_COMPARE,
  FLAG_LAST,
  FRAME,
  type FrameHeader,
  type FrameType,
  HEADER_BYTES,
  makeFrame,
  maxPayload,
  PIECE_BYTES,
  readHeader,
} from '../../src/protocol/frame.ts';
import {
  ANSWER,
  type Answer,
  type EntryResult,
  encodeAnswers,
  encodeBasis,
  encodeResult,
  OUTCOME,
  readEntries,
} from '../../src/protocol/manifest.ts';
import { newCounters, type Settled } from '../../src/transfer/progress.ts';
import { Sender } from '../../src/transfer/sender.ts';
import { openSourceTree, type SourceHandle } from '../../src/transfer/source.ts';
import { quickFolder } from './engine-run.ts';

const CHUNK = 65_536;
const BIG = 3 * PIECE_BYTES + 5;
const NO_DIGEST = Buffer.alloc(32);

interface Sent {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** A sender of a folder `root` with the files `small` and `big` and a link, and a target that says whatever a test says. */
class Prey {
  readonly rows: Settled[] = [];
  readonly frames: Sent[] = [];
  readonly counters = newCounters();
  readonly #sender: Sender<SourceHandle>;
  readonly #slot = Buffer.alloc(HEADER_BYTES + maxPayload(CHUNK));
  /** Index of each entry in the only batch. */
  readonly index = new Map<string, number>();

  constructor(t: TestContext) {
    const root = join(quickFolder(t), 'root');
    mkdirSync(root);
    writeFileSync(join(root, 'small'), 'small');
    writeFileSync(join(root, 'big'), Buffer.alloc(BIG, 3));
    symlinkSync('small', join(root, 'link'));
    const tree = openSourceTree([{ kind: 'named', path: root }], { rules: undefined, follow: false });
    this.#sender = new Sender(tree, {
      chunk: CHUNK,
      counters: this.counters,
      settled: (rows) => this.rows.push(...rows),
    });
    t.after(() => {
      this.#sender.close();
      tree[Symbol.dispose]();
    });
    this.run();
    const [manifest] = this.frames;
    assert.equal(manifest?.header.type, FRAME.manifest);
    for (const [index, { name }] of readEntries(manifest?.payload ?? NO_DIGEST).entries())
      this.index.set(Buffer.from(name).toString() || 'leave', index);
  }

  /** Everything that it sends now. Returns `wait` or `finished`. */
  run(most = Number.POSITIVE_INFINITY): string {
    for (let count = 0; count < most; ) {
      const produced = this.#sender.next(this.#slot);
      if (produced === 'wait' || produced === 'finished') return produced;
      if (produced === 'again') continue;
      const frame = Buffer.from(this.#slot.subarray(0, produced));
      this.frames.push({
        header: readHeader(frame, maxPayload(CHUNK)),
        payload: frame.subarray(HEADER_BYTES),
      });
      count += 1;
    }
    return 'more';
  }

  take(type: FrameType, payload: Buffer, at: Partial<FrameHeader> = {}): void {
    const frame = makeFrame(type, payload, at);
    this.#sender.receive(readHeader(frame, maxPayload(CHUNK)), frame.subarray(HEADER_BYTES));
    frame.fill(0xa5);
  }

  at(name: string): number {
    return this.index.get(name) ?? -1;
  }

  /** Answers the only batch: skip for all but these. */
  answer(answers: Record<string, Answer>, batch = 0): void {
    const all: Answer[] = Array.from({ length: this.index.size }, () => ({ code: ANSWER.skip }));
    for (const [name, answer] of Object.entries(answers)) all[this.at(name)] = answer;
    this.take(FRAME.answer, encodeAnswers(all), { batch });
  }

  basis(name: string, digests: readonly Buffer[], flags = FLAG_LAST, first = 0): void {
    const payload = encodeBasis({ first, digests: Buffer.concat(digests) });
    this.take(FRAME.basis, payload, { index: this.at(name), flags });
  }

  result(name: string, more: Partial<EntryResult> = {}, batch = 0): void {
    const result = {
      index: this.at(name),
      outcome: OUTCOME.committed,
      flag: 200,
      digest: NO_DIGEST,
      note: Buffer.alloc(0),
    };
    this.take(FRAME.result, encodeResult({ ...result, ...more }), { batch });
  }

  /** Types of the frames since the last look. */
  types(): number[] {
    return this.frames.splice(0).map(({ header }) => header.type);
  }
}

const SEND: Answer = { code: ANSWER.send };
const LATER: Answer = { code: ANSWER.later };
const piece = digestOf(Buffer.alloc(PIECE_BYTES, 3));
const tail = digestOf(Buffer.alloc(5, 3));
const bigDigest = digestOf(Buffer.alloc(BIG, 3));

/** Sends the small file and lets it be settled as the test says. */
function smallSent(prey: Prey): void {
  prey.answer({ small: SEND });
  prey.run();
}

suite('a target that breaks the rules ends the transfer:', () => {
  const cases: [string, (prey: Prey) => void][] = [
    ['an answer for a batch that is not open', (prey) => prey.answer({}, 1)],
    ['a second answer for a batch', (prey) => [1, 2].map(() => prey.answer({}))],
    ['answers for fewer entries', (prey) => prey.take(FRAME.answer, Buffer.of(0))],
    ['answers for more entries', (prey) => prey.take(FRAME.answer, Buffer.alloc(6))],
    ['an unknown answer', (prey) => prey.take(FRAME.answer, Buffer.of(0, 0, 9, 0, 0))],
    ['the wish for a folder', (prey) => prey.answer({ root: SEND })],
    ['the wish for a link', (prey) => prey.answer({ link: SEND })],
    ['the digest of a folder', (prey) => prey.answer({ root: { code: ANSWER.have, digest: piece } })],
    ['one digest for many pieces', (prey) => prey.answer({ big: { code: ANSWER.have, digest: piece } })],
    ['a frame of the source', (prey) => prey.take(FRAME.done, Buffer.alloc(44))],
    [
      'a second answer that nothing waits for',
      (prey) => prey.take(FRAME.reanswer, Buffer.of(1), { index: prey.at('small') }),
    ],
    [
      'a second answer that is none',
      (prey) => {
        prey.answer({ big: LATER });
        prey.take(FRAME.reanswer, Buffer.of(ANSWER.later), { index: prey.at('big') });
      },
    ],
    ['a basis that nothing waits for', (prey) => prey.basis('big', [piece])],
    [
      'a basis of more pieces than the file has',
      (prey) => {
        prey.answer({ big: LATER });
        prey.basis('big', [piece, piece, piece, piece, piece]);
      },
    ],
    [
      'a basis with a gap',
      (prey) => {
        prey.answer({ big: LATER });
        prey.basis('big', [piece], 0, 1);
      },
    ],
    [
      'a basis that begins again',
      (prey) => {
        prey.answer({ big: LATER });
        for (const _ of [1, 2]) prey.basis('big', [piece], 0);
      },
    ],
    ['a result before the answer', (prey) => prey.result('small', { outcome: OUTCOME.failed, flag: 410 })],
    ['a result of a batch that never was', (prey) => prey.result('small', {}, 3)],
    ['a result of an entry that never was', (prey) => prey.result('small', { index: 700 })],
    [
      'a result for what was skipped',
      (prey) => {
        prey.answer({});
        prey.result('small', { digest: digestOf(Buffer.from('small')) });
      },
    ],
    [
      'a result before the bytes',
      (prey) => {
        prey.answer({ small: SEND });
        prey.result('small', { digest: digestOf(Buffer.from('small')) });
      },
    ],
    [
      'a result within the bytes',
      (prey) => {
        prey.answer({ big: SEND });
        prey.run(2);
        prey.result('big', { digest: bigDigest });
      },
    ],
    [
      'a result twice',
      (prey) => {
        smallSent(prey);
        for (const _ of [1, 2]) prey.result('small', { digest: digestOf(Buffer.from('small')) });
      },
    ],
  ];
  for (const [what, step] of cases)
    test(what, (t) => {
      const prey = new Prey(t);
      assert.throws(() => step(prey), { code: 'BAD_MESSAGE' });
    });

  for (const [what, digest] of [
    ['another digest than that of what was sent', piece],
    ['no digest', NO_DIGEST],
  ] as const)
    test(`${what} is an alarm`, (t) => {
      const prey = new Prey(t);
      smallSent(prey);
      assert.throws(() => prey.result('small', { digest }), { code: 'INTEGRITY', exit: 6 });
    });

  test('random bytes in place of any of its frames', (t) => {
    const types = [FRAME.answer, FRAME.reanswer, FRAME.basis, FRAME.result];
    for (let round = 0; round < 400; round += 1) {
      const prey = new Prey(t);
      if (round % 3 === 0) prey.answer({ big: LATER, small: SEND });
      prey.run(round % 5);
      const payload = Buffer.alloc(round % 70, (round * 7919) % 256);
      const at = { index: round % 5, flags: round % 4, batch: round % 7 === 0 ? 1 : 0 };
      try {
        prey.take(types[round % types.length] ?? FRAME.answer, payload, at);
      } catch (error) {
        assert.ok(
          error instanceof LocalstreamError && ['BAD_MESSAGE', 'INTEGRITY'].includes(error.code),
          String(error),
        );
      }
    }
  });
});

suite('a sender', () => {
  test('goes on when the target gives a file up before, while and after it is sent', (t) => {
    for (const frames of [0, 1, 5, Number.POSITIVE_INFINITY]) {
      const prey = new Prey(t);
      prey.answer({ big: SEND, small: SEND });
      prey.run(frames);
      prey.result('big', {
        outcome: OUTCOME.failed,
        flag: flagNumber('NO_SPACE'),
        note: Buffer.from('full'),
      });
      prey.run();
      for (const name of ['root', 'link', 'leave']) prey.result(name);
      assert.equal(prey.run(), 'wait');
      prey.result('small', { digest: digestOf(Buffer.from('small')) });
      assert.equal(prey.run(), 'finished');
      const row = prey.rows.find(({ path }) => path === 'root/big');
      assert.deepEqual(
        [row?.outcome, row?.flag, row?.note, row?.digest],
        [OUTCOME.failed, 'NO_SPACE', 'full', undefined],
      );
    }
  });

  test('sends only the pieces that differ', (t) => {
    const prey = new Prey(t);
    prey.answer({ big: LATER });
    prey.types();
    prey.basis('big', [piece, tail, piece, tail]);
    prey.run();
    const sent = prey.frames.filter(({ header }) => header.type === FRAME.data);
    assert.deepEqual(
      [...new Set(sent.map(({ payload }) => Math.floor(Number(payload.readBigUInt64BE()) / PIECE_BYTES)))],
      [1],
    );
    assert.equal(
      sent.reduce((sum, { payload }) => sum + payload.length - 8, 0),
      PIECE_BYTES,
    );
    assert.equal(prey.counters.bytesSkipped, BIG - PIECE_BYTES);
  });

  test('says the same or different, and no byte, where it is only asked to compare', (t) => {
    const same = new Prey(t);
    same.answer({ big: LATER });
    same.types();
    same.basis('big', [piece, piece], FLAG_COMPARE, 0);
    same.basis('big', [piece, tail], FLAG_COMPARE | FLAG_LAST, 2);
    same.run();
    assert.deepEqual(same.types(), [FRAME.same, FRAME.done]);
    for (const digests of [[piece, piece, piece], [piece, tail, piece, tail], []]) {
      const other = new Prey(t);
      other.answer({ big: LATER });
      other.types();
      other.basis('big', digests, FLAG_COMPARE | FLAG_LAST);
      other.run();
      assert.deepEqual(other.types(), [FRAME.differs]);
      assert.equal(other.counters.bytes, 0);
    }
  });

  test('believes no code of success that comes with a failure', (t) => {
    const prey = new Prey(t);
    smallSent(prey);
    prey.result('small', { outcome: OUTCOME.failed, flag: 200 });
    assert.deepEqual([prey.rows[0]?.outcome, prey.rows[0]?.flag], [OUTCOME.failed, 'INTERNAL']);
  });
});
