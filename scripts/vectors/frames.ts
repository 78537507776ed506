import { VectorFile } from './frozen.ts';
import { hex, u8, u16, u32 } from './layout.ts';

interface Header {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly index: number;
  readonly sequence: number;
  readonly batch: number;
}

const NONE: Header = { length: 0, type: 0, flags: 0, index: 0, sequence: 0, batch: 0 };

function bytesOf({ length, type, flags, index, sequence, batch }: Header): string {
  return hex(u32(length), u8(type), u8(flags), u16(index), u32(sequence), u32(batch));
}

/** Largest payload of a transfer with the smallest and with the largest chunk. */
const SMALLEST_LIMIT = 65_536;
const LARGEST_LIMIT = 4_194_312;

const good = (limit: number, header: Partial<Header>) => {
  const whole = { ...NONE, ...header };
  return { limit, header: whole, bytes: bytesOf(whole) };
};
const bad = (code: string, limit: number, header: Partial<Header>) => ({
  code,
  limit,
  bytes: bytesOf({ ...NONE, ...header }),
});

/** Headers of lane frames. */
export function writeFrameVectors(): void {
  const types = {
    manifest: 1,
    pack: 2,
    data: 3,
    end: 4,
    same: 5,
    differs: 6,
    failed: 7,
    done: 8,
    retire: 15,
    answer: 16,
    reanswer: 17,
    basis: 18,
    result: 19,
  };
  const meta = Object.entries(types).filter(([name]) => name !== 'data' && name !== 'pack');
  const unknown = [0, 9, 14, 20, 127, 255];
  new VectorFile('frames.json').write({
    about:
      'Headers of lane frames. `limit` is the largest payload of the transfer, in bytes: chunk + 8, and 65536 at the least. `bytes` in hexadecimal.',
    types,
    cases: {
      ...Object.fromEntries(
        Object.entries(types).map(([name, type]) => [name, good(SMALLEST_LIMIT, { type, length: 0 })]),
      ),
      ...Object.fromEntries(
        meta.map(([name, type]) => [
          `${name} of the largest size`,
          good(LARGEST_LIMIT, { type, length: 65_536 }),
        ]),
      ),
      'data of the largest size': good(LARGEST_LIMIT, { type: 3, length: LARGEST_LIMIT }),
      'pack of the largest size': good(LARGEST_LIMIT, { type: 2, length: LARGEST_LIMIT }),
      'data with the smallest chunk': good(SMALLEST_LIMIT, { type: 3, length: 1032 }),
      'a hole': good(SMALLEST_LIMIT, { type: 3, flags: 1, length: 16, index: 3, sequence: 9, batch: 2 }),
      'the last manifest': good(SMALLEST_LIMIT, { type: 1, flags: 1, length: 24, sequence: 1 }),
      'the last pieces of a comparison': good(SMALLEST_LIMIT, {
        type: 18,
        flags: 3,
        length: 40,
        index: 1023,
      }),
      'every field at its end': good(LARGEST_LIMIT, {
        type: 3,
        flags: 255,
        length: LARGEST_LIMIT,
        index: 65_535,
        sequence: 2 ** 32 - 1,
        batch: 2 ** 32 - 1,
      }),
    },
    mustFail: {
      ...Object.fromEntries(
        unknown.map((type) => [`type ${type}`, bad('BAD_MESSAGE', SMALLEST_LIMIT, { type, length: 0 })]),
      ),
      ...Object.fromEntries(
        meta.map(([name, type]) => [
          `${name} of one byte too many`,
          bad('LIMIT', LARGEST_LIMIT, { type, length: 65_537 }),
        ]),
      ),
      'data of one byte too many': bad('LIMIT', LARGEST_LIMIT, { type: 3, length: LARGEST_LIMIT + 1 }),
      'pack of one byte too many': bad('LIMIT', LARGEST_LIMIT, { type: 2, length: LARGEST_LIMIT + 1 }),
      'data of one byte too many for a small chunk': bad('LIMIT', SMALLEST_LIMIT, {
        type: 3,
        length: 65_537,
      }),
      'data of 2^31 bytes': bad('LIMIT', LARGEST_LIMIT, { type: 3, length: 2 ** 31 }),
      'data of 2^32 - 1 bytes': bad('LIMIT', LARGEST_LIMIT, { type: 3, length: 2 ** 32 - 1 }),
    },
  });
}
