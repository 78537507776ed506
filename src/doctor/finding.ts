/** What doctor says: findings, one line each. */
import { LocalstreamError } from '../errors.ts';
import type { Settings } from '../settings.ts';
import type { Home } from '../store/home.ts';

/** How it stands with one thing. `unknown`: it can't be told, which counts for nothing. */
export type Grade = 'ok' | 'warning' | 'problem' | 'unknown';

/** What is looked at on this machine, in this order. The ids are stable. */
export const CHECKS = [
  'settings',
  'home',
  'keys',
  'disk',
  'clock',
  'node',
  'aes',
  'interfaces',
  'multicast',
  'neighbours',
  'port',
  'firewall',
  'users',
  'loopback',
] as const;

/** What is looked at on the way to a peer, in this order. */
export const PATH_CHECKS = [
  'resolve',
  'reach',
  'handshake',
  'key',
  'session',
  'round-trip',
  'send-rate',
  'receive-rate',
] as const;

export type CheckId = (typeof CHECKS)[number] | (typeof PATH_CHECKS)[number];

/** One line of the report. Texts hold names as they came: whoever shows them escapes them. */
export interface Finding {
  readonly id: CheckId;
  /** Which of several: an interface, an address, a program; undefined where there is one only. */
  readonly subject?: string;
  readonly grade: Grade;
  /** One clause without a final period. */
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
  readonly bytesPerSecond?: number;
  readonly milliseconds?: number;
}

/** What the checks of this machine work with. */
export interface Surroundings {
  readonly home: Home;
  /** As they hold, or the defaults where they are wrong. */
  readonly settings: Settings;
  /** Whether all settings are as they may be. */
  readonly isValid: boolean;
  readonly signal: AbortSignal;
}

/** Looks at one thing. What it throws is told as a finding. */
export type Check = (surroundings: Surroundings) => Promise<readonly Finding[]>;

/** Why something went wrong, as one clause. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What our own errors say to do, where they say something. */
export function fixOf(error: unknown): { readonly fix?: string } {
  return error instanceof LocalstreamError && error.hint !== undefined ? { fix: error.hint } : {};
}
