/** What the tests of the stores have done by another process. */
import { writeSync } from 'node:fs';
import * as v from 'valibot';
import { ErrorLog } from '../../src/store/error-log.ts';
import { ensureHome, resolveHome } from '../../src/store/home.ts';
import { loadIdentity } from '../../src/store/identity-store.ts';
import { JsonFile } from '../../src/store/json-file.ts';
import { ReceiptStore } from '../../src/store/receipt-store.ts';
import { SessionStore } from '../../src/store/session-store.ts';
import { loadSettings, setSetting } from '../../src/store/settings-store.ts';
import { TrustStore } from '../../src/store/trust-store.ts';
import { someFingerprint } from './temporary-home.ts';

const [action, place = '', ...rest] = process.argv.slice(2);
/** Synchronous, so that what was said before a kill has arrived. */
const say = (text: string) => void writeSync(1, `${text}\n`);

const TALLY = v.object({ counts: v.record(v.string(), v.number()), filler: v.array(v.number()) });

function tally(): JsonFile<v.InferOutput<typeof TALLY>> {
  return new JsonFile({
    path: place,
    version: 1,
    schema: TALLY,
    empty: () => ({ counts: {}, filler: [] }),
    warn: (message) => say(`warning ${message}`),
    patience: 60_000,
  });
}

async function count(name: string, times: number, filler = 0): Promise<void> {
  const file = tally();
  for (let done = 0; done < times; done++) {
    const after = await file.update(({ counts }) => {
      const next = (counts[name] ?? 0) + 1;
      return { counts: { ...counts, [name]: next }, filler: Array(filler).fill(next) };
    });
    if (filler > 0) say(String(after.counts[name]));
  }
}

/** Uses every store once, under a umask that takes no right away. */
async function useAll(): Promise<void> {
  process.umask(0);
  const home = resolveHome({}, place);
  ensureHome(home);
  const { settings } = await loadSettings({ home, env: {} });
  await setSetting(home, 'chunk', '64K');
  const identity = await loadIdentity(home);
  const peer = { fingerprint: identity.fingerprint, name: 'bob' };
  await new TrustStore(home).trust({ ...peer, how: 'manual' });
  await using sessions = new SessionStore(home, settings.sessions);
  sessions.begin({ role: 'server', peer: { ...peer, trusted: true }, address: '192.0.2.1', port: 1 });
  const receipts = new ReceiptStore(home, settings.receipts);
  await using receipt = await receipts.create({
    transferId: 'a1',
    direction: 'send',
    peer,
    started: new Date(),
  });
  await receipt.files([{ path: 'a', outcome: 'committed', size: 1 }]);
  await using log = new ErrorLog(home, { maxBytes: 4096, keep: 2 });
  for (let number = 0; number < 100; number++) log.write({ error: new Error('x'.repeat(100)) });
}

async function beginSessions(times: number): Promise<void> {
  await using sessions = new SessionStore(
    resolveHome({}, place),
    { keep: 1000, transfers: 5, paths: 5 },
    say,
  );
  const peer = { fingerprint: someFingerprint(1), name: 'bob', trusted: false };
  for (let number = 0; number < times; number++) {
    sessions.begin({
      role: 'client',
      peer,
      address: '192.0.2.1',
      port: number,
      id: `${process.pid}-${number}`,
    });
    await sessions.flush();
  }
}

switch (action) {
  case 'count':
    await count(rest[0] ?? '', Number(rest[1]), Number(rest[2] ?? 0));
    break;
  case 'hold':
    await tally().update(() => {
      say('held');
      return new Promise(() => setInterval(() => {}, 1000));
    });
    break;
  case 'identity':
    say((await loadIdentity(resolveHome({}, place))).fingerprint);
    break;
  case 'trust':
    await new TrustStore(resolveHome({}, place)).trust({
      fingerprint: someFingerprint(Number(rest[0])),
      name: 'bob',
      how: 'manual',
    });
    break;
  case 'sessions':
    await beginSessions(Number(rest[0]));
    break;
  case 'session-left':
    new SessionStore(resolveHome({}, place), { keep: 9, transfers: 5, paths: 5 }).begin({
      role: 'client',
      peer: { fingerprint: someFingerprint(1), name: 'x', trusted: false },
      address: 'a',
      port: 1,
    });
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1500);
    break;
  case 'use-all':
    await useAll();
    break;
  case 'home':
    say(JSON.stringify(resolveHome(process.env)));
    break;
  case 'ensure':
    if (rest[0] !== undefined && process.setuid && process.setgid && process.getuid?.() === 0) {
      process.setgid(Number(rest[0]));
      process.setuid(Number(rest[0]));
    }
    try {
      ensureHome(resolveHome({}, place));
      say('made');
    } catch (error) {
      say(JSON.stringify(error instanceof Error ? { ...error, message: error.message } : { error }));
    }
    break;
  default:
    throw new Error(`no such action: ${action}`);
}
