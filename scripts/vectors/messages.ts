import { fixed, VectorFile } from './frozen.ts';
import { identities } from './keys.ts';
import { hex, join, u32 } from './layout.ts';

/** Which schema a body is for: the step of the handshake, or a session that is open. */
type Step =
  | 'client hello'
  | 'server hello'
  | 'client share'
  | 'server share'
  | 'confirm'
  | 'pair'
  | 'pair share'
  | 'pair tag'
  | 'introduce'
  | 'admit'
  | 'session';

const TRANSFER = '00112233445566778899aabbccddeeff';
const EARLIER = 'ffeeddccbbaa99887766554433221100';
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
/** 384 bytes that look like a ciphertext or a signature: only their length counts here. */
const rsaBytes = (text: string): Buffer =>
  Buffer.concat(Array.from({ length: 12 }, (_, index) => fixed(`${text} ${index}`)));

const { alice, bob } = identities;
const helloC = {
  type: 'hello',
  versions: [1],
  capabilities: [],
  encryptionKey: base64(alice.encryptionSpki),
  signature: base64(alice.encryptionSignature),
};
const helloS = {
  type: 'hello',
  version: 1,
  capabilities: [],
  encryptionKey: base64(bob.encryptionSpki),
  signature: base64(bob.encryptionSignature),
  commitment: base64(fixed('commitment')),
};
const ciphertext = base64(rsaBytes('ciphertext'));
const mac = base64(fixed('mac'));
const roots = [
  { name: 'a.txt', type: 'file', size: 5 },
  { name: 'photos', type: 'folder', size: null },
];
const entries = [
  { name: 'docs', type: 'share', size: 0, mtime: 0, mode: 0, shareMode: 'rw' },
  { name: 'a.txt', type: 'file', size: 9_007_199_254_740_991, mtime: 1_700_000_000_000_000, mode: 0o644 },
  { name: 'here', type: 'link', size: 5, mtime: -1, mode: 0o777, target: 'a.txt' },
];

interface Good {
  readonly step: Step;
  readonly n: number;
  readonly message: Readonly<Record<string, unknown>>;
}
const good = (step: Step, n: number, message: Good['message']): Good => ({ step, n, message });
const session = (message: Good['message']): Good => good('session', 4, message);

const CASES: Record<string, Good> = {
  "the dialler's hello": good('client hello', 0, helloC),
  "the listener's hello": good('server hello', 0, helloS),
  "the listener's hello, with what it can do": good('server hello', 0, {
    ...helloS,
    capabilities: ['change', 'speed'],
  }),
  "the dialler's share": good('client share', 1, { type: 'share', ciphertext }),
  "the listener's share": good('server share', 1, { type: 'share', ciphertext, mac }),
  confirm: good('confirm', 2, { type: 'confirm', mac }),
  'a pairing code': good('pair', 3, { type: 'pair', nameplate: 9999, share: base64(fixed('Ya')) }),
  "the listener's answer to it": good('pair share', 2, { type: 'pair-share', share: base64(fixed('Yb')) }),
  'the proof that it is known': good('pair tag', 4, {
    type: 'pair-tag',
    tag: base64(Buffer.concat([fixed('Ta'), fixed('Ta, second half')])),
  }),
  introduce: good('introduce', 3, { type: 'introduce', name: 'Ærø 💾', waiting: true }),
  'introduce, with the group': good('introduce', 3, {
    type: 'introduce',
    name: 'laptop',
    waiting: false,
    group: 'X25519MLKEM768',
  }),
  admit: good('admit', 4, { type: 'admit' }),
  bye: session({ type: 'bye', flag: 424 }),
  'bye with a text': session({ type: 'bye', flag: 421, detail: 'full (10 of 10)' }),
  ping: session({ type: 'ping', request: 0 }),
  pong: session({ type: 'pong', request: 4_294_967_295 }),
  list: session({ type: 'list', request: 7, path: '/docs' }),
  listing: session({ type: 'listing', request: 7, entries, last: false }),
  'an empty listing': session({ type: 'listing', request: 7, entries: [], last: true }),
  more: session({ type: 'more', request: 7 }),
  mkdir: session({ type: 'mkdir', request: 8, path: '/docs/new' }),
  move: session({ type: 'move', request: 9, from: '/docs/a.txt', to: '/docs/new/' }),
  remove: session({ type: 'remove', request: 10, path: '/docs/a.txt' }),
  'remove of a folder': session({
    type: 'remove',
    request: 4_294_967_295,
    path: '/docs/caf\udce9',
    recursive: true,
  }),
  changed: session({ type: 'changed', request: 8, entries: 1, last: true }),
  'changed, and more is to be removed': session({ type: 'changed', request: 10, entries: 256, last: false }),
  speed: session({ type: 'speed', request: 11, direction: 'down', bytes: 268_435_456, milliseconds: 5000 }),
  'speed-lane': session({ type: 'speed-lane', request: 11, lane: 77, bytes: 1_048_576, milliseconds: 100 }),
  'speed-result': session({ type: 'speed-result', request: 11, bytes: 1_048_576, milliseconds: 9 }),
  failed: session({ type: 'failed', request: 7, flag: 406, detail: 'no such folder' }),
  get: session({ type: 'get', transfer: TRANSFER, paths: ['/docs/a.txt'], lanes: 1, chunk: 1024 }),
  'get, with all that is optional': session({
    type: 'get',
    transfer: TRANSFER,
    paths: ['/docs/a.txt', '/docs/b'],
    lanes: 16,
    chunk: 4_194_304,
    follow: false,
    continues: EARLIER,
  }),
  'get of a name that is not UTF-8': session({
    type: 'get',
    transfer: TRANSFER,
    paths: ['/docs/caf\udce9'],
    lanes: 1,
    chunk: 1_048_576,
  }),
  put: session({
    type: 'put',
    transfer: TRANSFER,
    target: '/docs/',
    roots,
    lanes: 4,
    chunk: 65_536,
    existing: 'fail',
  }),
  'put, with all that is optional': session({
    type: 'put',
    transfer: TRANSFER,
    target: '/docs/',
    roots,
    lanes: 4,
    chunk: 65_536,
    existing: 'overwrite',
    durable: true,
    continues: EARLIER,
    dryRun: false,
    trustMtime: true,
    verify: true,
  }),
  offer: session({ type: 'offer', transfer: TRANSFER, roots, lanes: [1, 4_294_967_295], chunk: 1_048_576 }),
  'offer that goes on': session({
    type: 'offer',
    transfer: TRANSFER,
    roots,
    lanes: [],
    chunk: 1_048_576,
    continues: EARLIER,
  }),
  'offer of the dialler': session({
    type: 'offer',
    transfer: TRANSFER,
    roots,
    lanes: [],
    wanted: 4,
    chunk: 1_048_576,
    total: { files: 120, bytes: 3_221_225_472, more: true },
  }),
  'offer of a text': session({
    type: 'offer',
    transfer: TRANSFER,
    roots: [{ name: 'text.txt', type: 'file', size: 23 }],
    lanes: [],
    wanted: 1,
    chunk: 1_048_576,
    total: { files: 1, bytes: 23, more: false },
    text: true,
  }),
  'accept of an offer': session({ type: 'accept', transfer: TRANSFER }),
  'accept of a put': session({ type: 'accept', transfer: TRANSFER, lanes: [17] }),
  'accept under a bound': session({
    type: 'accept',
    transfer: TRANSFER,
    lanes: [17],
    chunk: 100_000,
    credit: true,
  }),
  credit: session({ type: 'credit', transfer: TRANSFER, bytes: 50_000 }),
  refuse: session({ type: 'refuse', transfer: TRANSFER, flag: 405, detail: 'the share does not allow put' }),
  lanes: session({ type: 'lanes', transfer: TRANSFER, lanes: 1 }),
  granted: session({ type: 'granted', transfer: TRANSFER, lanes: [18] }),
  cancel: session({ type: 'cancel', transfer: TRANSFER, flag: 425 }),
  'cancel for good': session({ type: 'cancel', transfer: TRANSFER, flag: 425, discard: true }),
  receipt: session({
    type: 'receipt',
    transfer: TRANSFER,
    body: '{"version":1}',
    signature: base64(rsaBytes('signature')),
  }),
  login: session({ type: 'login', name: 'anna', password: 'pässword "1"' }),
  welcome: session({ type: 'welcome', name: 'Anna' }),
  denied: session({ type: 'denied', flag: 430 }),
  received: session({ type: 'received', transfer: TRANSFER }),
};

/** A case with some fields changed; `undefined` takes one away. */
function spoiled(name: string, change: Readonly<Record<string, unknown>>): { step: Step; body: string } {
  const { step, n, message } = CASES[name] ?? good('session', 4, {});
  return { step, body: JSON.stringify({ n, ...message, ...change }) };
}

const MUST_FAIL: Record<string, { step: Step; body: string }> = {
  'a message of another step': { step: 'server hello', body: spoiled("the dialler's hello", {}).body },
  'a message of no type': spoiled('ping', { type: undefined }),
  'a message of an unknown type': spoiled('ping', { type: 'pang' }),
  'a hello in an open session': { step: 'session', body: spoiled("the dialler's hello", { n: 4 }).body },
  'no versions': spoiled("the dialler's hello", { versions: [] }),
  'version 0': spoiled("the dialler's hello", { versions: [0] }),
  'a key that is not canonical base64': spoiled("the dialler's hello", {
    encryptionKey: `${helloC.encryptionKey}=`,
  }),
  'a key in the alphabet of URLs': spoiled("the dialler's hello", { encryptionKey: '-_-_' }),
  'a signature of 383 bytes': spoiled("the dialler's hello", { signature: base64(Buffer.alloc(383)) }),
  'a commitment of 33 bytes': spoiled("the listener's hello", { commitment: base64(Buffer.alloc(33)) }),
  'a ciphertext of 385 bytes': spoiled("the dialler's share", { ciphertext: base64(Buffer.alloc(385)) }),
  'a ciphertext as a number': spoiled("the dialler's share", { ciphertext: 1 }),
  "a listener's share without its MAC": spoiled("the listener's share", { mac: undefined }),
  'an empty MAC': spoiled('confirm', { mac: '' }),
  'nameplate 0': spoiled('a pairing code', { nameplate: 0 }),
  'nameplate 10000': spoiled('a pairing code', { nameplate: 10_000 }),
  'a point of 33 bytes': spoiled('a pairing code', { share: base64(Buffer.alloc(33)) }),
  'a tag of 32 bytes': spoiled('the proof that it is known', { tag: base64(Buffer.alloc(32)) }),
  'a user of 1025 characters': spoiled('login', { name: 'x'.repeat(1025) }),
  'a login without a password': spoiled('login', { password: undefined }),
  'a name of 257 characters': spoiled('introduce', { name: 'x'.repeat(257) }),
  'waiting as a text': spoiled('introduce', { waiting: 'true' }),
  'a flag of four digits': spoiled('bye', { flag: 1000 }),
  'a negative flag': spoiled('bye', { flag: -1 }),
  'a request of 2^32': spoiled('ping', { request: 2 ** 32 }),
  'a negative request': spoiled('ping', { request: -1 }),
  'a fractional request': spoiled('ping', { request: 0.5 }),
  'a request as a text': spoiled('ping', { request: '0' }),
  'a folder without a path': spoiled('mkdir', { path: undefined }),
  'a path of 8193 characters': spoiled('mkdir', { path: `/${'x'.repeat(8192)}` }),
  'a move to nowhere': spoiled('move', { to: undefined }),
  'a move of a number': spoiled('move', { from: 1 }),
  'recursive as a text': spoiled('remove', { recursive: 'true' }),
  '257 entries at once': spoiled('changed', { entries: 257 }),
  'less than no entries': spoiled('changed', { entries: -1 }),
  'a change that does not say whether it was the last': spoiled('changed', { last: undefined }),
  'a test in no direction': spoiled('speed', { direction: 'both' }),
  'a test of nothing': spoiled('speed', { bytes: 0 }),
  'a test of more than 1 GiB': spoiled('speed', { bytes: 1_073_741_825 }),
  'a test of more than a minute': spoiled('speed', { milliseconds: 60_001 }),
  'lane 0 for a test': spoiled('speed-lane', { lane: 0 }),
  'a size of 2^53': spoiled('listing', { entries: [{ ...entries[1], size: 2 ** 53 }] }),
  'a negative size': spoiled('listing', { entries: [{ ...entries[1], size: -1 }] }),
  'a kind that nobody knows': spoiled('listing', { entries: [{ ...entries[1], type: 'door' }] }),
  'a mode of five digits': spoiled('listing', { entries: [{ ...entries[1], mode: 0o10000 }] }),
  'an entry without a name': spoiled('listing', { entries: [{ ...entries[1], name: undefined }] }),
  'a transfer number that is too short': spoiled('get', { transfer: TRANSFER.slice(1) }),
  'a transfer number in capitals': spoiled('get', { transfer: TRANSFER.toUpperCase() }),
  'no paths': spoiled('get', { paths: [] }),
  'a path as a number': spoiled('get', { paths: [1] }),
  'a chunk of 1023': spoiled('get', { chunk: 1023 }),
  'a chunk of 4194305': spoiled('get', { chunk: 4_194_305 }),
  'no lanes': spoiled('get', { lanes: 0 }),
  '17 lanes': spoiled('get', { lanes: 17 }),
  'a policy that nobody knows': spoiled('put', { existing: 'maybe' }),
  'no roots': spoiled('put', { roots: [] }),
  'a root with a field that nobody knows': spoiled('put', { roots: [{ ...roots[0], path: '/' }] }),
  'a root of a negative size': spoiled('put', { roots: [{ ...roots[0], size: -1 }] }),
  'a root of no size': spoiled('put', { roots: [{ name: 'a', type: 'file' }] }),
  'a root of another kind': spoiled('put', { roots: [{ ...roots[0], type: 'other' }] }),
  'lane number 0': spoiled('offer', { lanes: [0] }),
  'lane number 2^32': spoiled('offer', { lanes: [2 ** 32] }),
  '17 lane numbers': spoiled('offer', { lanes: Array.from({ length: 17 }, (_, index) => index + 1) }),
  '17 lanes wanted in an offer': spoiled('offer', { wanted: 17 }),
  'a total without its bytes': spoiled('offer', { total: { files: 1, more: false } }),
  'lanes as a number in an offer': spoiled('offer', { lanes: 1 }),
  'lanes as numbers in a request': spoiled('lanes', { lanes: [1] }),
  'a chunk of 1023 in an answer': spoiled('accept under a bound', { chunk: 1023 }),
  'credit as a number in an answer': spoiled('accept under a bound', { credit: 1 }),
  'credit of nothing': spoiled('credit', { bytes: 0 }),
  'credit of 2^53': spoiled('credit', { bytes: 2 ** 53 }),
  'a receipt without a signature': spoiled('receipt', { signature: undefined }),
};

/** Bytes that are no message, whatever the step: what the framing itself refuses. */
const BROKEN_FRAMES: Record<string, string> = {
  'a length of 0': hex(u32(0)),
  'one byte more than a stranger may send': hex(u32(16_385)),
  'a length of 2^31': hex(u32(2 ** 31)),
  'a length of 2^32 - 1': hex(u32(2 ** 32 - 1)),
  'no JSON': framed('GET / HT'),
  'JSON that goes on': framed('{"n":0}}'),
  'an array': framed('[0]'),
  'a number': framed('0'),
  null: framed('null'),
  'no number': framed('{"type":"ping","request":0}'),
  'a wrong number': framed('{"n":1,"type":"ping","request":0}'),
  'a number as a text': framed('{"n":"0","type":"ping","request":0}'),
  'no UTF-8': framed(Buffer.from('7b226e223a302c2278223a22ff227d', 'hex')),
  'UTF-8 of a surrogate': framed(Buffer.from('7b226e223a302c2278223a22edb380227d', 'hex')),
  'a byte order mark': framed(join(Buffer.from('efbbbf', 'hex'), '{"n":0}')),
  'UTF-16': framed(Buffer.from('{"n":0}', 'utf16le')),
};

function framed(body: string | Uint8Array): string {
  const bytes = join(body);
  return hex(u32(bytes.length), bytes);
}

/** Control messages: exact bodies, their frames, and what must be refused. */
export function writeMessageVectors(): void {
  new VectorFile('messages.json').write({
    about:
      'Control messages. `body` is the exact JSON text, `frame` the same with its length, in hexadecimal. In mustFail the bodies are sound JSON that the step must refuse; in brokenFrames the first message of a connection, in hexadecimal.',
    cases: Object.fromEntries(
      Object.entries(CASES).map(([name, { step, n, message }]) => {
        const body = JSON.stringify({ n, ...message });
        return [name, { step, n, body, frame: framed(body) }];
      }),
    ),
    mustFail: MUST_FAIL,
    brokenFrames: BROKEN_FRAMES,
  });
}
