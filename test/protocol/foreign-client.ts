/**
 * A client of localstream that was written from docs/protocol.md alone: nothing of the program is imported. It has its
 * own key, lists, gets and puts, in the simplest way that the document allows.
 */
import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { blake3 } from '@napi-rs/blake-hash';

type Message = Readonly<Record<string, unknown>>;

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();
const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer =>
  createHmac('sha256', key).update(Buffer.concat(parts)).digest();
const u8 = (value: number): Buffer => Buffer.of(value);
const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
};
const lv = (bytes: Uint8Array): Buffer => Buffer.concat([u32(bytes.length), bytes]);

// "Keys"

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

function statement(key: KeyObject, kind: string, body: Uint8Array): Buffer {
  return sign('sha256', Buffer.concat([Buffer.from(`localstream/1 ${kind}\0`), body]), { key, ...PSS });
}

function isStatement(key: KeyObject, kind: string, body: Uint8Array, signature: Uint8Array): boolean {
  const bytes = Buffer.concat([Buffer.from(`localstream/1 ${kind}\0`), body]);
  return verify('sha256', bytes, { key, ...PSS }, signature);
}

function spki(key: KeyObject): Buffer {
  return createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' });
}

const fingerprintText = (fp: Uint8Array): string =>
  `SHA256:${Buffer.from(fp).toString('base64').replace('=', '')}`;

export interface ForeignIdentity {
  readonly identityKey: KeyObject;
  readonly encryptionKey: KeyObject;
  readonly identitySpki: Buffer;
  readonly encryptionSpki: Buffer;
  readonly fingerprint: string;
  /** PEM, whose own signature is nothing: nobody looks at it. */
  readonly certificate: string;
}

/** Draws two keys. */
export function newForeignIdentity(): ForeignIdentity {
  const pairs = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 65537 }));
  const [identity, encryption] = pairs;
  if (!identity || !encryption) throw new Error('no keys');
  const identitySpki = spki(identity.publicKey);
  return {
    identityKey: identity.privateKey,
    encryptionKey: encryption.privateKey,
    identitySpki,
    encryptionSpki: spki(encryption.publicKey),
    fingerprint: fingerprintText(sha256(identitySpki)),
    certificate: certificateOf(identitySpki),
  };
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? u8(body.length) : Buffer.concat([u8(0x82), u16(body.length)]);
  return Buffer.concat([u8(tag), length, body]);
}

function certificateOf(key: Uint8Array): string {
  const algorithm = der(0x30, Buffer.from('06092a864886f70d01010b0500', 'hex'));
  const name = der(
    0x30,
    der(0x31, der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('foreign')))),
  );
  const dates = der(0x30, der(0x17, Buffer.from('700101000000Z')), der(0x17, Buffer.from('490101000000Z')));
  const version = der(0xa0, Buffer.from('020102', 'hex'));
  const body = der(0x30, version, Buffer.from('020101', 'hex'), algorithm, name, dates, name, key);
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.alloc(385)));
  return `-----BEGIN CERTIFICATE-----\n${whole.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

/** Bytes as they come, read in pieces of a wanted length. */
class Incoming {
  #held = Buffer.alloc(0);
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(socket: TLSSocket) {
    const stir = () => {
      this.#wake.resolve();
      this.#wake = Promise.withResolvers<void>();
    };
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#held = Buffer.concat([this.#held, chunk]);
      stir();
    });
    socket.on('close', () => {
      this.#ended = true;
      stir();
    });
  }

  async read(length: number): Promise<Buffer> {
    while (this.#held.length < length) {
      if (this.#ended) throw new Error('the connection has ended');
      await this.#wake.promise;
    }
    const bytes = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return bytes;
  }
}

// "TLS"

async function dial(
  port: number,
  identity?: ForeignIdentity,
): Promise<{ socket: TLSSocket; incoming: Incoming; serverSpki: Buffer }> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: '',
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['localstream/1'],
    ecdhCurve: 'X25519MLKEM768:X25519',
    sigalgs: 'rsa_pss_rsae_sha256',
    rejectUnauthorized: false,
    ...(identity && {
      key: identity.identityKey.export({ type: 'pkcs8', format: 'pem' }),
      cert: identity.certificate,
    }),
  });
  const incoming = new Incoming(socket);
  await once(socket, 'secureConnect');
  if (socket.alpnProtocol !== 'localstream/1') throw new Error('no localstream');
  const key = new X509Certificate(socket.getPeerCertificate().raw).publicKey;
  if (key.asymmetricKeyType !== 'rsa' || key.asymmetricKeyDetails?.modulusLength !== 3072)
    throw new Error('the server has another kind of key');
  return { socket, incoming, serverSpki: spki(key) };
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly index: number;
  readonly sequence: number;
  readonly batch: number;
  readonly payload: Buffer;
}

/** "Frames", on one lane. */
class Lane {
  readonly #socket: TLSSocket;
  readonly #incoming: Incoming;
  #sent = 0;
  #received = 0;

  constructor(socket: TLSSocket, incoming: Incoming) {
    this.#socket = socket;
    this.#incoming = incoming;
  }

  send(type: number, payload: Uint8Array, at: { batch?: number; index?: number; flags?: number } = {}): void {
    const { batch = 0, index = 0, flags = 0 } = at;
    const header = [u32(payload.length), u8(type), u8(flags), u16(index), u32(this.#sent), u32(batch)];
    this.#sent += 1;
    this.#socket.write(Buffer.concat([...header, payload]));
  }

  async next(): Promise<Frame> {
    const head = await this.#incoming.read(16);
    const sequence = head.readUInt32BE(8);
    if (sequence !== this.#received) throw new Error('a frame is out of its place');
    this.#received += 1;
    return {
      type: head.readUInt8(4),
      flags: head.readUInt8(5),
      index: head.readUInt16BE(6),
      sequence,
      batch: head.readUInt32BE(12),
      payload: await this.#incoming.read(head.readUInt32BE(0)),
    };
  }

  close(): void {
    this.#socket.destroy();
  }
}

const MANIFEST = 1;
const PACK = 2;
const DATA = 3;
const END = 4;
const SAME = 5;
const DIFFERS = 6;
const DONE = 8;
const ANSWER = 16;
const RESULT = 19;
const COMMITTED = 1;
const ZEROS = Buffer.alloc(32);

interface Entry {
  readonly kind: number;
  readonly size: number;
  /** Below the root, as text. */
  readonly path: string;
}

function result(index: number, digest: Uint8Array): Buffer {
  return Buffer.concat([u16(index), u8(COMMITTED), u16(200), digest, u8(0)]);
}

export class ForeignClient {
  readonly #port: number;
  readonly #identity: ForeignIdentity;
  readonly #socket: TLSSocket;
  readonly #incoming: Incoming;
  readonly #serverKey: KeyObject;
  readonly #fpC: Buffer;
  readonly #fpS: Buffer;
  #sent = 0;
  #received = 0;
  #prk: { readonly secret: Buffer; readonly salt: Buffer } | undefined;
  /** Six digits for two people. */
  checkNumber = '';
  /** Hexadecimal. */
  sessionId = '';
  /** What the server calls itself. */
  serverName = '';

  private constructor(
    port: number,
    identity: ForeignIdentity,
    socket: TLSSocket,
    incoming: Incoming,
    server: Buffer,
  ) {
    this.#port = port;
    this.#identity = identity;
    this.#socket = socket;
    this.#incoming = incoming;
    this.#serverKey = createPublicKey({ key: server, type: 'spki', format: 'der' });
    this.#fpC = sha256(identity.identitySpki);
    this.#fpS = sha256(server);
  }

  get serverFingerprint(): string {
    return fingerprintText(this.#fpS);
  }

  /** Connects, proves both keys, and is let in. */
  static async connect(port: number, identity: ForeignIdentity): Promise<ForeignClient> {
    const { socket, incoming, serverSpki } = await dial(port, identity);
    const client = new ForeignClient(port, identity, socket, incoming, serverSpki);
    socket.write('LS1 CTRL');
    await client.#handshake();
    client.#send({ type: 'introduce', name: 'foreign', waiting: false });
    const introduction = await client.#expect('introduce');
    client.serverName = String(introduction['name']);
    client.#send({ type: 'admit' });
    await client.#expect('admit');
    return client;
  }

  close(): void {
    this.#send({ type: 'bye', flag: 424 });
    this.#socket.end();
  }

  // "Control messages"

  #send(message: Message): Buffer {
    const text = Buffer.from(JSON.stringify({ n: this.#sent, ...message }));
    this.#sent += 1;
    this.#socket.write(Buffer.concat([u32(text.length), text]));
    return text;
  }

  async #next(): Promise<{ message: Message; text: Buffer }> {
    const length = (await this.#incoming.read(4)).readUInt32BE();
    const text = await this.#incoming.read(length);
    const message: Message = JSON.parse(text.toString());
    if (message['n'] !== this.#received) throw new Error('a message is out of its place');
    this.#received += 1;
    if (message['type'] === 'bye') throw new Error(`bye ${message['flag']} ${message['detail'] ?? ''}`);
    return { message, text };
  }

  /** The next message of a type; pings are answered on the way, and credit that comes in vain is let pass. */
  async #expect(type: string): Promise<Message> {
    for (;;) {
      const { message } = await this.#next();
      if (message['type'] === 'ping') this.#send({ type: 'pong', request: message['request'] });
      else if (message['type'] === type) return message;
      else if (message['type'] !== 'pong' && message['type'] !== 'credit')
        throw new Error(`${message['type']} ${message['flag']}, not ${type}`);
    }
  }

  // "Handshake"

  async #handshake(): Promise<void> {
    const { identityKey, encryptionKey, encryptionSpki } = this.#identity;
    const helloC = this.#send({
      type: 'hello',
      versions: [1],
      capabilities: [],
      encryptionKey: encryptionSpki.toString('base64'),
      signature: statement(identityKey, 'enc-key', encryptionSpki).toString('base64'),
    });
    const { message: hello, text: helloS } = await this.#next();
    const encS = Buffer.from(String(hello['encryptionKey']), 'base64');
    if (!isStatement(this.#serverKey, 'enc-key', encS, Buffer.from(String(hello['signature']), 'base64')))
      throw new Error("the server's encryption key is not its own");

    const xp = this.#socket.exportKeyingMaterial(32, 'EXPERIMENTAL localstream/1 session', Buffer.alloc(0));
    const label = (role: string) =>
      Buffer.concat([Buffer.from(`localstream/1 share ${role}\0`), this.#fpC, this.#fpS, xp]);
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
    const shareC = randomBytes(32);
    const keyS = createPublicKey({ key: encS, type: 'spki', format: 'der' });
    const ctC = publicEncrypt({ key: keyS, ...oaep, oaepLabel: label('c') }, shareC);
    this.#send({ type: 'share', ciphertext: ctC.toString('base64') });

    const { message: share } = await this.#next();
    const ctS = Buffer.from(String(share['ciphertext']), 'base64');
    if (sha256(ctS).toString('base64') !== hello['commitment']) throw new Error('another ciphertext');
    const decryption = createPrivateKey(encryptionKey.export({ type: 'pkcs8', format: 'pem' }));
    const shareS = privateDecrypt({ key: decryption, ...oaep, oaepLabel: label('s') }, ctS);
    const th = sha256(lv(helloC), lv(helloS), lv(ctC), lv(ctS));
    this.#prk = { secret: Buffer.concat([xp, shareC, shareS]), salt: th };
    if (hmac(this.#key('confirm s', 32), th).toString('base64') !== share['mac'])
      throw new Error('the server has not proven its key');
    this.#send({ type: 'confirm', mac: hmac(this.#key('confirm c', 32), th).toString('base64') });
    const check = this.#key('check', 8).readBigUInt64BE() % 1_000_000n;
    this.checkNumber = check.toString().padStart(6, '0');
    this.sessionId = this.#key('session id', 16).toString('hex');
  }

  #key(label: string, length: number): Buffer {
    if (!this.#prk) throw new Error('no session');
    const info = Buffer.concat([Buffer.from(`localstream/1 ${label}\0`), this.#fpC, this.#fpS]);
    return Buffer.from(hkdfSync('sha256', this.#prk.secret, this.#prk.salt, info, length));
  }

  // "Lanes"

  async #openLane(number: number): Promise<Lane> {
    const { socket, incoming, serverSpki } = await dial(this.#port);
    if (!sha256(serverSpki).equals(this.#fpS)) throw new Error('another key answers for the lane');
    const xl = socket.exportKeyingMaterial(32, 'EXPERIMENTAL localstream/1 lane', Buffer.alloc(0));
    const id = Buffer.from(this.sessionId, 'hex');
    const proof = (role: string) => hmac(this.#key(`lane ${role}`, 32), xl, id, u32(number));
    socket.write(Buffer.concat([Buffer.from('LS1 LANE'), id, u32(number), proof('c')]));
    if (!(await incoming.read(32)).equals(proof('s'))) throw new Error('the lane was not proven');
    return new Lane(socket, incoming);
  }

  /** "Listings": all entries of a folder. */
  async list(path: string): Promise<Message[]> {
    this.#send({ type: 'list', request: 1, path });
    const entries: Message[] = [];
    for (;;) {
      const page = await this.#expect('listing');
      if (Array.isArray(page['entries'])) entries.push(...page['entries']);
      if (page['last'] === true) return entries;
      this.#send({ type: 'more', request: 1 });
    }
  }

  /** Fetches one path: the content of every file by its path below the root. */
  async get(path: string): Promise<Map<string, Buffer>> {
    const transfer = randomBytes(16).toString('hex');
    this.#send({ type: 'get', transfer, paths: [path], lanes: 1, chunk: 65_536 });
    const offer = await this.#expect('offer');
    this.#send({ type: 'accept', transfer });
    const [number] = Array.isArray(offer['lanes']) ? offer['lanes'] : [];
    const lane = await this.#openLane(Number(number));
    const files = new Map<string, Buffer>();
    const batches: Entry[][] = [];
    const folders: string[] = [];
    const manifests: Buffer[] = [];
    const results: Buffer[] = [];
    let open: Buffer[] = [];
    const settle = (batch: number, ...rows: Buffer[]) => {
      const payload = Buffer.concat(rows);
      results.push(payload);
      lane.send(RESULT, payload, { batch });
    };
    const take = (entry: Entry | undefined, bytes: Buffer, digest: Buffer) => {
      if (!entry || bytes.length !== entry.size || !blake3(bytes).equals(digest))
        throw new Error('a file is not whole');
      files.set(entry.path, bytes);
    };
    for (;;) {
      const { type, batch, index, payload } = await lane.next();
      const entries = batches[batch] ?? [];
      if (type === MANIFEST) {
        manifests.push(payload);
        const announced = [...readManifest(payload, folders)];
        batches[batch] = announced;
        lane.send(ANSWER, Buffer.from(announced.map(({ kind }) => (kind === 1 ? 1 : 0))), { batch });
        const others = announced.flatMap(({ kind }, at) => (kind === 1 ? [] : [result(at, ZEROS)]));
        if (others.length > 0) settle(batch, ...others);
      } else if (type === PACK) {
        for (let at = 0; at < payload.length; ) {
          const digest = payload.subarray(at + 6, at + 38);
          const end = at + 38 + payload.readUInt32BE(at + 2);
          take(entries[payload.readUInt16BE(at)], payload.subarray(at + 38, end), digest);
          settle(batch, result(payload.readUInt16BE(at), digest));
          at = end;
        }
      } else if (type === DATA) {
        open.push(payload.subarray(8));
      } else if (type === END) {
        take(entries[index], Buffer.concat(open), payload.subarray(8));
        open = [];
        settle(batch, result(index, payload.subarray(8)));
      } else if (type === DONE) {
        if (!payload.subarray(12).equals(blake3(Buffer.concat(manifests))))
          throw new Error('another manifest');
        break;
      } else throw new Error(`a frame of type ${type}`);
    }
    const body = JSON.stringify({
      version: 1,
      session: this.sessionId,
      transfer,
      sender: fingerprintText(this.#fpS),
      receiver: fingerprintText(this.#fpC),
      manifest: blake3(Buffer.concat(manifests)).toString('hex'),
      outcomes: blake3(Buffer.concat(results)).toString('hex'),
      files: files.size,
      bytes: [...files.values()].reduce((sum, { length }) => sum + length, 0),
      failed: 0,
      skipped: 0,
      named: [],
      at: new Date().toISOString(),
      state: 'committed',
    });
    const signature = statement(this.#identity.identityKey, 'receipt', Buffer.from(body)).toString('base64');
    this.#send({ type: 'receipt', transfer, body, signature });
    await this.#expect('received');
    lane.close();
    return files;
  }

  /** Sends one file to a path. Returns the body of the receipt and the outcome of the file. */
  async put(
    target: string,
    name: string,
    content: Buffer,
    existing = 'fail',
  ): Promise<{ receipt: Message; outcome: number; flag: number }> {
    const transfer = randomBytes(16).toString('hex');
    const roots = [{ name, type: 'file', size: content.length }];
    this.#send({ type: 'put', transfer, target, roots, lanes: 1, chunk: 65_536, existing });
    const accept = await this.#expect('accept');
    const [number] = Array.isArray(accept['lanes']) ? accept['lanes'] : [];
    const lane = await this.#openLane(Number(number));
    const chunk = Math.min(65_536, Number(accept['chunk'] ?? 65_536));
    let credit = accept['credit'] === true ? 0 : Number.POSITIVE_INFINITY;
    const send = async (...[type, payload, at]: Parameters<Lane['send']>) => {
      while (credit <= 0) credit += Number((await this.#expect('credit'))['bytes']);
      credit -= 16 + payload.length;
      lane.send(type, payload, at);
    };
    const bytes = Buffer.from(name);
    const sizes = [u64(1_700_000_000_000_000), u64(content.length), u16(bytes.length), u16(0)];
    const manifest = Buffer.concat([u8(1), u8(0), u16(0o640), ...sizes, bytes]);
    await send(MANIFEST, manifest, { flags: 1 });
    const digest = blake3(content);
    const { payload: answer } = await lane.next();
    const code = answer.readUInt8(0);
    if (code === 1 || code === 2) {
      for (let offset = 0; offset < content.length; offset += chunk)
        await send(DATA, Buffer.concat([u64(offset), content.subarray(offset, offset + chunk)]));
      await send(END, Buffer.concat([u64(content.length), digest]));
    } else if (code === 3) {
      const same = answer.subarray(1).equals(digest);
      if (same) await send(SAME, Buffer.concat([u16(0), digest]));
      else await send(DIFFERS, Buffer.alloc(0));
    } else if (code !== 0) throw new Error(`answer ${code}`);
    const { type, payload: settled } = await lane.next();
    if (type !== RESULT) throw new Error(`a frame of type ${type}`);
    await send(DONE, Buffer.concat([u32(1), u64(1), blake3(manifest)]));
    const receipt = await this.#expect('receipt');
    const body = Buffer.from(String(receipt['body']));
    if (!isStatement(this.#serverKey, 'receipt', body, Buffer.from(String(receipt['signature']), 'base64')))
      throw new Error('the receipt is not signed by the server');
    const said: Message = JSON.parse(body.toString());
    if (said['manifest'] !== blake3(manifest).toString('hex')) throw new Error('a receipt of something else');
    if (said['outcomes'] !== blake3(settled).toString('hex')) throw new Error('a receipt of another outcome');
    this.#send({ type: 'received', transfer });
    lane.close();
    return { receipt: said, outcome: settled.readUInt8(2), flag: settled.readUInt16BE(3) };
  }
}

/** "MANIFEST": the entries of a batch; `folders` are those that are open across batches. */
function* readManifest(payload: Buffer, folders: string[]): Generator<Entry> {
  for (let at = 0; at < payload.length; ) {
    const kind = payload.readUInt8(at);
    const nameEnd = at + 24 + payload.readUInt16BE(at + 20);
    const name = payload.toString('utf8', at + 24, nameEnd);
    const size = Number(payload.readBigInt64BE(at + 12));
    const path = [...folders, name].join('/');
    if (kind === 2) folders.push(name);
    if (kind === 3) folders.pop();
    yield { kind, size, path };
    at = nameEnd + payload.readUInt16BE(at + 22);
  }
}
