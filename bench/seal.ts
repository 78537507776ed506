/**
 * `node bench/seal.ts [GIB]`: bytes that one core seals and opens in a second of its own time, memory to memory, as `put
 * --seal-for` and `get` do it. Processor time, so that other work on the machine counts less. Nothing is asserted.
 */
import { createPublicKey, randomBytes } from 'node:crypto';
import { loadavg } from 'node:os';
import { openSeal } from '../src/crypto/envelope-open.ts';
import { SEAL_SECRET_BYTES } from '../src/crypto/envelope-repeat.ts';
import { createIdentity } from '../src/crypto/identity.ts';
import { sealedSize, sealingFor } from '../src/transfer/sealed-source.ts';
import type { SourceReader } from '../src/transfer/source-tree.ts';

const MIB = 1024 * 1024;
const size = Math.round(Number(process.argv[2] ?? 4) * 1024) * MIB;
const identity = await createIdentity();
const { fingerprint, signingKey, signingSpki } = identity;
const readers = [{ fingerprint, encryptionKey: createPublicKey(identity.encryptionKey) }];
const spec = { readers, signingKey, signingSpki, secret: randomBytes(SEAL_SECRET_BYTES) };
const content = randomBytes(4 * MIB);

function reader(): SourceReader {
  const inner = {
    readAt: (buffer: Buffer, position: number) => content.copy(buffer, 0, position % content.length),
    verifyUnchanged: () => {},
    close: () => {},
  };
  return sealingFor(spec).read(inner, { name: 'bench', mtime: 0, mode: 0o644, size, marks: '' });
}

function* sealed(): Generator<Buffer> {
  const seal = reader();
  const buffer = Buffer.allocUnsafeSlow(MIB);
  const total = sealedSize(size, spec);
  for (let position = 0; position < total; ) {
    const count = seal.readAt(buffer, position);
    position += count;
    yield buffer.subarray(0, count);
  }
  seal.close();
}

/** Seconds of processor time of the whole process: the collection of garbage counts. */
async function cost(work: () => Promise<void> | void): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const sealing = await cost(() => {
  for (const _ of sealed());
});
const both = await cost(async () => {
  const { data } = await openSeal(sealed(), { identity, accept: () => true });
  for await (const _ of data);
});
const rate = (seconds: number) => `${(size / 1e9 / seconds).toFixed(2)} GB/s`;
const { maxRSS } = process.resourceUsage();
console.log(
  `sealed ${rate(sealing)}, opened ${rate(both - sealing)}; most memory ${Math.round(maxRSS / 1024)} MiB; load ${loadavg()[0]?.toFixed(1)}`,
);
