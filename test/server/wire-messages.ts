/** One message of each type, for the tests that send them at the wrong time. */
import type { TestContext } from 'node:test';
import { type Loose, type RawControl, transferId } from './wire-dialler.ts';
import { folderOf, type Served, serve } from './wire-machines.ts';

const transfer = transferId(77);
export const root = { name: 'a', type: 'file', size: 5 };
const base64 = (length: number) => Buffer.alloc(length).toString('base64');

/** One message of each type, sound in itself. */
export const MESSAGES: Readonly<Record<string, Loose>> = {
  hello: {
    type: 'hello',
    versions: [1],
    capabilities: [],
    encryptionKey: base64(422),
    signature: base64(384),
  },
  share: { type: 'share', ciphertext: base64(384) },
  confirm: { type: 'confirm', mac: base64(32) },
  pair: { type: 'pair', nameplate: 7, share: base64(32) },
  'pair-share': { type: 'pair-share', share: base64(32) },
  'pair-tag': { type: 'pair-tag', tag: base64(64) },
  introduce: { type: 'introduce', name: 'x', waiting: false },
  admit: { type: 'admit' },
  ping: { type: 'ping', request: 1 },
  pong: { type: 'pong', request: 1 },
  list: { type: 'list', request: 1, path: '/' },
  listing: { type: 'listing', request: 1, entries: [], last: true },
  more: { type: 'more', request: 1 },
  speed: { type: 'speed', request: 1, direction: 'up', bytes: 1000, milliseconds: 1000 },
  'speed-lane': { type: 'speed-lane', request: 1, lane: 1, bytes: 1000, milliseconds: 1000 },
  'speed-result': { type: 'speed-result', request: 1, bytes: 1, milliseconds: 1 },
  failed: { type: 'failed', request: 1, flag: 406 },
  get: { type: 'get', transfer, paths: ['/docs/a'], lanes: 1, chunk: 1024 },
  put: { type: 'put', transfer, target: '/docs/', roots: [root], lanes: 1, chunk: 1024, existing: 'fail' },
  offer: { type: 'offer', transfer, roots: [root], lanes: [1], chunk: 1024 },
  accept: { type: 'accept', transfer },
  credit: { type: 'credit', transfer, bytes: 1 },
  refuse: { type: 'refuse', transfer, flag: 405 },
  lanes: { type: 'lanes', transfer, lanes: 1 },
  granted: { type: 'granted', transfer, lanes: [1] },
  cancel: { type: 'cancel', transfer, flag: 425 },
  receipt: { type: 'receipt', transfer, body: '{}', signature: base64(384) },
  received: { type: 'received', transfer },
  login: { type: 'login', name: 'anna', password: 'x' },
  welcome: { type: 'welcome', name: 'anna' },
  denied: { type: 'denied', flag: 430 },
  nonsense: { type: 'nonsense' },
};

/** A listener with something to fetch and a place to put things. */
export async function listening(t: TestContext): Promise<Served & { folder: string }> {
  const folder = folderOf(t, { a: 'hello', 'small.bin': Buffer.alloc(3000, 7) });
  const shares = [
    { name: 'docs', folder, mode: 'rw' as const },
    { name: 'in', folder: folderOf(t, {}), mode: 'rw' as const },
  ];
  return { ...(await serve(t, { shares })), folder };
}

/** All types that come until the connection ends, but for pings. */
export async function rest(control: RawControl): Promise<{ types: string[]; flag: unknown }> {
  const types: string[] = [];
  let flag: unknown;
  for (let message = await control.after(); message; message = await control.after()) {
    types.push(String(message.type));
    flag = message['flag'];
  }
  return { types, flag };
}
