/**
 * How failed logins slow the next ones down. Pure arithmetic: failures are counted by subject and forgotten little by
 * little; above a few free ones each doubles the pause.
 */
import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Failures } from './user-store.ts';

/** How one kind of subject is limited. Times in milliseconds. */
export interface LimitRule {
  /** Failures that cost nothing. */
  readonly free: number;
  /** The pause after the first one above them; it doubles with each further one. */
  readonly first: number;
  readonly most: number;
  /** After so long one failure is forgotten. */
  readonly forget: number;
}

/** The kinds of subjects. */
export type LimitKind = 'account' | 'address' | 'device' | 'all';

const MINUTE = 60_000;

/**
 * The rules. One account can be tried about 200 times a day, from one address about 1,500 times, and in all about once
 * a second for long. A device that has logged in to an account before has a count of its own, in place of the account's
 * and of everybody's, so that nobody can lock a user out by guessing.
 */
export const LIMIT_RULES: Readonly<Record<LimitKind, LimitRule>> = {
  account: { free: 5, first: 1000, most: 15 * MINUTE, forget: 7 * MINUTE },
  address: { free: 20, first: 1000, most: 15 * MINUTE, forget: MINUTE },
  device: { free: 5, first: 1000, most: 15 * MINUTE, forget: 7 * MINUTE },
  all: { free: 200, first: 250, most: 5000, forget: 1000 },
};

/**
 * Until when (milliseconds since 1970) a subject has to wait. `more` failures are counted in that are not yet noted.
 * The clock may have been set back: nobody waits longer than the rule's most.
 */
export function blockedUntil(rule: LimitRule, failures: Failures | undefined, now: number, more = 0): number {
  const last = Math.min(failures?.last ?? now, now);
  // The pause follows from the last failure; what is not yet noted happens now.
  const count = more > 0 ? remaining(rule, failures, now) + more : (failures?.count ?? 0);
  const above = count - rule.free;
  if (above <= 0) return 0;
  return (more > 0 ? now : last) + Math.min(rule.most, rule.first * 2 ** (Math.ceil(above) - 1));
}

/** What is left of some failures by now. */
function remaining(rule: LimitRule, failures: Failures | undefined, now: number): number {
  if (failures === undefined) return 0;
  return Math.max(0, failures.count - Math.max(0, now - failures.last) / rule.forget);
}

function digestText(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`);
  return hash.digest('base64url').slice(0, 32);
}

/**
 * The subject of an account, whether it exists or not. A digest: people type passwords where the name belongs. Names that
 * differ only in case or form are one, since another program's table may take them for one.
 */
export function accountSubject(name: string): string {
  return `account:${digestText(foldedName(name))}`;
}

/** The subject of a device (by the key it has proven) at an account. */
export function deviceSubject(name: string, device: Fingerprint): string {
  return `device:${digestText(foldedName(name), device)}`;
}

function foldedName(name: string): string {
  return name.slice(0, 1024).toWellFormed().normalize('NFKC').toLowerCase().trim();
}

/** The subject of an address: IPv6 by its /64, which one host has whole. */
export function addressSubject(address: string): string {
  const bare = address.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1];
  if (mapped !== undefined) return `address:${mapped}`;
  if (!isIPv6(bare)) return `address:${bare.slice(0, 64)}`;
  const [head = '', tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => '0');
  return `address:${[...front, ...zeros, ...back].slice(0, 4).join(':')}::/64`;
}
