/**
 * Uses the library as a program would: two machines, many transfers of every end, then everything is closed. Nobody calls
 * `process.exit`: it must end by itself. Says what it found on the way.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Localstream, LocalstreamError, openLocalstream } from '../../src/index.ts';
import { homeOf, noise, TEST_FLAGS } from '../session/machines.ts';

const [base = '', transfers = '200'] = process.argv.slice(2);
const say = (value: unknown): void => void writeSync(1, `${JSON.stringify(value)}\n`);
const descriptors = (): number => readdirSync('/proc/self/fd').length;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

const share = join(base, 'share');
mkdirSync(join(share, 'tree'), { recursive: true });
for (let number = 0; number < 20; number += 1)
  writeFileSync(join(share, 'tree', `f${number}`), noise(number * 500, number));
writeFileSync(join(share, 'tree', 'big'), noise(1_500_000));
writeFileSync(join(share, 'one'), 'one');

const open = (key: 'alice' | 'bob'): Promise<Localstream> =>
  openLocalstream({ home: homeOf(base, key), flags: { name: key, ...TEST_FLAGS } });
const [bob, alice] = [await open('bob'), await open('alice')];
const listener = await bob.listen({
  port: 0,
  host: '127.0.0.1',
  open: true,
  maxConnections: 5,
  shares: [{ name: 'share', folder: share, mode: 'rw' }],
});
let session = await alice.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
const codes = new Map<string, number>();

async function once(number: number): Promise<void> {
  const local = mkdtempSync(join(base, 'local-'));
  const stop = new AbortController();
  const runs = [
    () => session.get(['/share/tree'], join(local, 'tree')),
    () => session.put([join(share, 'tree')], '/share/put', { existing: 'overwrite', lanes: 3 }),
    () => session.get(['/share/missing'], local),
    () => session.get(['/share/tree'], join(local, 'no', 'tree')),
    () => session.get(['/share/tree'], join(local, 'tree'), { signal: stop.signal }),
    () => session.get(['/share/one'], `${local}/`, { chunk: 1024 }),
  ];
  if (number % 6 === 4) setTimeout(() => stop.abort(), number % 40);
  const code = await (runs[number % 6] ?? (() => Promise.reject(new Error('none'))))().then(
    (receipt) => receipt.code,
    (error: unknown) => (error instanceof LocalstreamError ? error.code : String(error)),
  );
  codes.set(code, (codes.get(code) ?? 0) + 1);
  rmSync(local, { recursive: true });
}

async function rest(): Promise<number> {
  while (listener.transfers.length > 0 || session.transfers.length > 0) await settle();
  await settle();
  return descriptors();
}

// All workers are started by then.
await Promise.all(Array.from({ length: 6 }, () => once(5)));
for (let number = 0; number < 12; number += 1) await once(number);
const before = await rest();
for (let number = 0; number < Number(transfers); number += 1) await once(number);
const after = await rest();
for (let number = 0; number < 20; number += 1) {
  await session.close();
  session = await alice.connect({ host: '127.0.0.1', port: listener.port });
}
const reconnected = await rest();
say({ before, after, reconnected, codes: Object.fromEntries(codes), peak: process.resourceUsage().maxRSS });
await Promise.all([alice.close(), bob.close()]);
await Promise.all([alice.close(), bob.close()]);
// The last file is closed while this runs in its own completion, and still counts until that is over.
await new Promise(setImmediate);
say({
  left: process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap' && name !== 'TTYWrap'),
  sessions: readFileSync(alice.home.sessionsFile, 'utf8').length > 100,
});
