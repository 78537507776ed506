/** What localstream says of itself by DNS-SD (RFC 6763): type, instance name and TXT record. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { PROTOCOL_VERSION } from '../protocol/limits.ts';
import { cleanName, NAME_BYTES } from '../settings.ts';
import { type Name, textLabel } from './message.ts';

/** Of the service, below `local`. */
export const SERVICE_TYPE = 'localstream';
export const SERVICE_NAME: Name = [`_${SERVICE_TYPE}`, '_tcp', 'local'];
/** Under which everybody lists the types of services that there are (RFC 6763 section 9). */
export const TYPES_NAME: Name = ['_services', '_dns-sd', '_udp', 'local'];

/** What the TXT record of a peer says. All of it is a claim, to be checked against the pinned key. */
export interface Hints {
  /** Beginning of the fingerprint's base64. */
  readonly fingerprintHint: string | undefined;
  /** Protocol version. */
  readonly version: number | undefined;
  /** Whether it wants a user's name and password. */
  readonly login: boolean;
  /** The public numbers of the pairing codes that it waits for. */
  readonly nameplates: readonly number[];
}

/** Characters of a fingerprint that are announced: 72 bits. */
const HINT_CHARACTERS = 12;
/** Nameplates that are announced: so many are a string of the record at the most. */
const MOST_NAMEPLATES = 50;
/** Bounds of RFC 6763 section 6, as far as a record of ours can ever need them. */
const MOST_STRINGS = 64;
const MOST_TXT_BYTES = 1300;

/** The announced part of a fingerprint. */
export function hintOf(fingerprint: Fingerprint): string {
  return fingerprint.slice('SHA256:'.length, 'SHA256:'.length + HINT_CHARACTERS);
}

/** The strings of our TXT record; `txtvers` stands first, as RFC 6763 wants it. */
export function buildTxt(
  fingerprint: Fingerprint,
  login: boolean,
  nameplates: readonly number[] = [],
): Buffer[] {
  const codes = nameplates.slice(0, MOST_NAMEPLATES).join(',');
  const pairs = [
    ['txtvers', '1'],
    ['fp', hintOf(fingerprint)],
    ['v', String(PROTOCOL_VERSION)],
    ['login', login ? '1' : '0'],
    ...(codes === '' ? [] : [['codes', codes]]),
  ];
  return pairs.map(([key, value]) => Buffer.from(`${key}=${value}`));
}

const NO_HINTS: Hints = { fingerprintHint: undefined, version: undefined, login: false, nameplates: [] };

/** Reads a TXT record. Unknown keys are passed over; a record of another version says nothing. */
export function parseTxt(strings: readonly Buffer[]): Hints {
  const values = new Map<string, string>();
  let bytes = 0;
  for (const string of strings.slice(0, MOST_STRINGS)) {
    bytes += string.length + 1;
    if (bytes > MOST_TXT_BYTES) break;
    const [, key = '', value = ''] = /^([\x20-\x3c\x3e-\x7e]+)=(.*)$/s.exec(string.toString('latin1')) ?? [];
    // The first of two counts (RFC 6763 section 6.4).
    if (key !== '' && !values.has(key.toLowerCase())) values.set(key.toLowerCase(), value);
  }
  if (values.get('txtvers') !== '1') return NO_HINTS;
  const hint = values.get('fp') ?? '';
  const version = values.get('v') ?? '';
  return {
    fingerprintHint: /^[A-Za-z0-9+/]{8,43}$/.test(hint) ? hint : undefined,
    version: /^[1-9]\d{0,3}$/.test(version) ? Number(version) : undefined,
    login: values.get('login') === '1',
    nameplates: nameplatesOf(values.get('codes') ?? ''),
  };
}

function nameplatesOf(text: string): number[] {
  const numbers = text.split(',').slice(0, MOST_NAMEPLATES);
  return numbers.filter((number) => /^[1-9]\d{0,3}$/.test(number)).map(Number);
}

/** Whether a hint can stand for a fingerprint. It proves nothing: only the key itself does. */
export function isHintOf(hint: string | undefined, fingerprint: Fingerprint): boolean {
  return hint !== undefined && fingerprint.slice('SHA256:'.length).startsWith(hint);
}

/**
 * The name of an instance: `wanted`, and from the second try on `wanted (2)`, cut between characters to the 63 bytes
 * that a label holds.
 */
export function instanceName(wanted: string, attempt = 1): string {
  const base = cleanName(wanted) || 'localstream';
  if (attempt === 1) return base;
  const suffix = ` (${attempt})`;
  let end = 0;
  let bytes = Buffer.byteLength(suffix);
  for (const { segment } of new Intl.Segmenter('en').segment(base)) {
    bytes += Buffer.byteLength(segment);
    if (bytes > NAME_BYTES) break;
    end += segment.length;
  }
  return `${base.slice(0, end).trimEnd()}${suffix}`;
}

/** The full name of an instance. */
export function instanceLabels(name: string): Name {
  return [textLabel(name), ...SERVICE_NAME];
}

/**
 * The name of the host that an advertisement points to. It is our own and not the machine's, which belongs to the
 * responder of the system: what we withdraw must not take away what that one has announced. The same after a restart.
 */
export function hostLabels(fingerprint: Fingerprint, port: number): Name {
  const digest = Buffer.from(fingerprint.slice('SHA256:'.length), 'base64').toString('hex', 0, 6);
  return [`localstream-${digest}-${port}`, 'local'];
}
