/** Every control message, its fields and their bounds. What a peer sends is checked here once and trusted after. */
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import { errorOf } from '../errors.ts';
import { errorFromPeer } from './flags.ts';
import {
  MAX_CHUNK,
  MAX_LANES,
  MAX_PAGE,
  MAX_PATHS,
  MAX_REMOVED,
  MAX_SIBLINGS,
  MAX_SPEED_BYTES,
  MAX_SPEED_TIME,
  MIN_CHUNK,
} from './limits.ts';

const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
const size = whole(0, Number.MAX_SAFE_INTEGER);

/** Base64 of exactly `length` bytes (or at most, where `length` is an upper bound), canonical. */
const bytes = (length: number, exact = true) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(length / 3) * 4),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const buffer = Buffer.from(dataset.value, 'base64');
      if (
        buffer.toString('base64') !== dataset.value ||
        (exact ? buffer.length !== length : buffer.length > length)
      ) {
        addIssue({ message: `must be base64 of ${length} bytes` });
        return NEVER;
      }
      return buffer;
    }),
  );

const transfer = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const path = text(8192);
const chunk = whole(MIN_CHUNK, MAX_CHUNK);
const lanes = v.pipe(v.array(whole(1, 0xffff_ffff)), v.maxLength(MAX_LANES));
const wanted = whole(1, MAX_LANES);
const flag = whole(0, 999);
const detail = v.optional(text(1024));
const kind = v.picklist(['file', 'folder', 'link']);
const existing = v.picklist(['fail', 'overwrite', 'skip', 'rename', 'update']);
const roots = v.pipe(
  v.array(v.strictObject({ name: text(1024), type: kind, size: v.nullable(size) })),
  v.minLength(1),
  v.maxLength(MAX_PATHS),
);
const total = v.object({ files: size, bytes: size, more: v.boolean() });
const speedBounds = { bytes: whole(1, MAX_SPEED_BYTES), milliseconds: whole(1, MAX_SPEED_TIME) };
const n = whole(0, Number.MAX_SAFE_INTEGER);
const request = whole(0, 0xffff_ffff);

/** Of a user's name and of its password; what is longer is nobody's. */
const MAX_LOGIN = 1024;

const SPKI_MAX = 1024;
const RSA_BYTES = 384;

/** `loose` objects where a later version may add fields; the transcript covers them all the same. */
export const HELLO_CLIENT = v.object({
  n,
  type: v.literal('hello'),
  versions: v.pipe(v.array(whole(1, 65535)), v.minLength(1), v.maxLength(16)),
  capabilities: v.pipe(v.array(text(64)), v.maxLength(64)),
  encryptionKey: bytes(SPKI_MAX, false),
  signature: bytes(RSA_BYTES),
});
export const HELLO_SERVER = v.object({
  n,
  type: v.literal('hello'),
  version: whole(1, 65535),
  capabilities: v.pipe(v.array(text(64)), v.maxLength(64)),
  encryptionKey: bytes(SPKI_MAX, false),
  signature: bytes(RSA_BYTES),
  commitment: bytes(32),
});
export const SHARE_CLIENT = v.object({ n, type: v.literal('share'), ciphertext: bytes(RSA_BYTES) });
export const SHARE_SERVER = v.object({
  n,
  type: v.literal('share'),
  ciphertext: bytes(RSA_BYTES),
  mac: bytes(32),
});
export const CONFIRM = v.object({ n, type: v.literal('confirm'), mac: bytes(32) });

/** After the confirmations each side says its name and, when it has decided, that it lets the other in. */
export const INTRODUCE = v.object({
  n,
  type: v.literal('introduce'),
  name: text(256),
  waiting: v.boolean(),
  /** The negotiated group, as the dialler sees it: Node can't tell on the listener's side. */
  group: v.optional(text(64)),
});
export const ADMIT = v.object({ n, type: v.literal('admit') });

/** A pairing code, before the introductions: the dialler's share, the listener's, the dialler's tag, the listener's. */
export const PAIR = v.object({ n, type: v.literal('pair'), nameplate: whole(1, 9999), share: bytes(32) });
export const PAIR_SHARE = v.object({ n, type: v.literal('pair-share'), share: bytes(32) });
export const PAIR_TAG = v.object({ n, type: v.literal('pair-tag'), tag: bytes(64) });
export type PairRequest = v.InferOutput<typeof PAIR>;

export const BYE = v.object({ n, type: v.literal('bye'), flag, detail });

const ENTRY = v.object({
  name: text(1024),
  type: v.picklist(['file', 'folder', 'link', 'other', 'share']),
  size,
  mtime: v.pipe(v.number(), v.safeInteger()),
  mode: whole(0, 0o7777),
  shareMode: v.optional(v.picklist(['ro', 'rw', 'wo'])),
  target: v.optional(path),
});

/** Another server of the same users, which the one that says so vouches for. */
const SIBLING = v.object({
  fingerprint: v.custom<Fingerprint>(isFingerprint),
  name: text(256),
  addresses: v.pipe(v.array(text(300)), v.maxLength(8)),
});
interface SiblingMessage {
  fingerprint: Fingerprint;
  name: string;
  addresses: string[];
}
/** With its type written out: declarations could not name what a brand is made of. */
const siblings: v.GenericSchema<SiblingMessage[]> = v.pipe(v.array(SIBLING), v.maxLength(MAX_SIBLINGS));

const SESSION_MESSAGE = v.variant('type', [
  v.object({ n, type: v.literal('ping'), request }),
  v.object({ n, type: v.literal('pong'), request }),
  v.object({ n, type: v.literal('list'), request, path }),
  v.object({
    n,
    type: v.literal('listing'),
    request,
    entries: v.pipe(v.array(ENTRY), v.maxLength(MAX_PAGE)),
    last: v.boolean(),
  }),
  v.object({ n, type: v.literal('more'), request }),
  v.object({ n, type: v.literal('mkdir'), request, path }),
  v.object({ n, type: v.literal('move'), request, from: path, to: path }),
  v.object({ n, type: v.literal('remove'), request, path, recursive: v.optional(v.boolean()) }),
  v.object({
    n,
    type: v.literal('changed'),
    request,
    entries: whole(0, MAX_REMOVED),
    last: v.boolean(),
  }),
  v.object({ n, type: v.literal('failed'), request, flag, detail }),
  v.object({
    n,
    type: v.literal('get'),
    transfer,
    paths: v.pipe(v.array(path), v.minLength(1), v.maxLength(MAX_PATHS)),
    lanes: wanted,
    chunk,
    follow: v.optional(v.boolean()),
    continues: v.optional(transfer),
  }),
  v.object({
    n,
    type: v.literal('put'),
    transfer,
    target: path,
    roots,
    lanes: wanted,
    chunk,
    existing,
    durable: v.optional(v.boolean()),
    continues: v.optional(transfer),
    dryRun: v.optional(v.boolean()),
    trustMtime: v.optional(v.boolean()),
    verify: v.optional(v.boolean()),
  }),
  v.object({
    n,
    type: v.literal('offer'),
    transfer,
    roots,
    lanes,
    wanted: v.optional(wanted),
    chunk,
    total: v.optional(total),
    text: v.optional(v.boolean()),
    continues: v.optional(transfer),
  }),
  v.object({
    n,
    type: v.literal('accept'),
    transfer,
    lanes: v.optional(lanes),
    chunk: v.optional(chunk),
    credit: v.optional(v.boolean()),
  }),
  v.object({ n, type: v.literal('refuse'), transfer, flag, detail }),
  v.object({ n, type: v.literal('lanes'), transfer, lanes: wanted }),
  v.object({ n, type: v.literal('granted'), transfer, lanes }),
  v.object({ n, type: v.literal('credit'), transfer, bytes: whole(1, Number.MAX_SAFE_INTEGER) }),
  v.object({ n, type: v.literal('cancel'), transfer, flag, detail, discard: v.optional(v.boolean()) }),
  v.object({ n, type: v.literal('receipt'), transfer, body: text(192 * 1024), signature: bytes(RSA_BYTES) }),
  v.object({ n, type: v.literal('received'), transfer }),
  v.object({ n, type: v.literal('login'), name: text(MAX_LOGIN), password: text(MAX_LOGIN) }),
  v.object({
    n,
    type: v.literal('welcome'),
    name: text(MAX_LOGIN),
    siblings: v.optional(siblings),
  }),
  v.object({ n, type: v.literal('denied'), flag, detail }),
  v.object({
    n,
    type: v.literal('speed'),
    request,
    direction: v.picklist(['up', 'down']),
    ...speedBounds,
  }),
  v.object({ n, type: v.literal('speed-lane'), request, lane: whole(1, 0xffff_ffff), ...speedBounds }),
  v.object({ n, type: v.literal('speed-result'), request, bytes: size, milliseconds: size }),
  BYE,
]);

/** The types of all messages of a session that is open. */
export const SESSION_TYPES: readonly string[] = SESSION_MESSAGE.options.map(
  ({ entries }) => entries.type.literal,
);

/** A message of a session that is open. */
export type SessionMessage = v.InferOutput<typeof SESSION_MESSAGE>;
/** Another server of the same users. */
export type NamedSibling = Readonly<Omit<v.InferOutput<typeof SIBLING>, 'addresses'>> & {
  /** `host:port`. */
  readonly addresses: readonly string[];
};
export type ListedEntry = v.InferOutput<typeof ENTRY>;
export type OfferedRoot = v.InferOutput<typeof roots>[number];
/** What is in an offer, as its sender counts: at least so much where there is `more`. */
export type OfferedTotal = Readonly<v.InferOutput<typeof total>>;
/** What becomes of a target that exists and differs. */
export type ExistingPolicy = v.InferOutput<typeof existing>;
export type MessageOf<Type extends SessionMessage['type']> = Extract<SessionMessage, { type: Type }>;

/** What may be sent: the message without its number, buffers as base64 (see {@link encodeBytes}). */
export type Outgoing = { [Type in SessionMessage['type']]: Encoded<MessageOf<Type>> }[SessionMessage['type']];
type Encoded<Message> = {
  [Key in keyof Message as Key extends 'n' ? never : Key]: Message[Key] extends Buffer
    ? string
    : Message[Key];
};

/** How bytes are written in a message. */
export function encodeBytes(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}

/** Checks one message against the schema that is expected now. Throws BAD_MESSAGE, naming the field. */
export function checkMessage<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const field = v.getDotPath(issue) ?? 'message';
  throw errorOf('BAD_MESSAGE', `the peer's ${field} is not what the protocol allows`);
}

/**
 * Checks the message that is expected now, where the other side may say goodbye instead. Throws BAD_MESSAGE, or what the
 * goodbye gives as its reason.
 */
export function checkReply<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const bye = v.safeParse(BYE, value);
  if (bye.success) throw errorFromPeer(bye.output.flag, bye.output.detail);
  return checkMessage(schema, value);
}

/** The message where it is one of this schema, undefined where it is another. */
export function readMessage<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> | undefined {
  const result = v.safeParse(schema, value);
  return result.success ? result.output : undefined;
}

/** Checks a message of an open session. Throws BAD_MESSAGE. */
export function checkSessionMessage(value: unknown): SessionMessage {
  return checkMessage(SESSION_MESSAGE, value);
}
