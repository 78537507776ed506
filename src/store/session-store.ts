import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import type { Settings } from '../config.ts';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import { systemCode } from '../errors.ts';
import type { Home } from './home.ts';
import { JsonFile, type Warn } from './json-file.ts';
import { timeStamp } from './time-stamp.ts';

/** At most one write in this time, in milliseconds: a busy server would otherwise sync the disk for each file. */
const WRITE_STEP = 1000;
/** A write waits this long at the least, in milliseconds, so that a short session is written once, when it is over. */
const LEAST_WAIT = 500;
/** The file is read and written as a whole, so it has a bound in bytes as well. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Characters that are kept of a text from a peer. */
const MOST_CHARACTERS = 256;

const count = v.pipe(v.number(), v.minValue(0));
const moved = v.object({ files: count, bytes: count });

const TRANSFER = v.object({
  id: v.string(),
  direction: v.picklist(['send', 'receive']),
  at: timeStamp,
  /** The first of them; `files` is how many there were. */
  paths: v.array(v.string()),
  files: count,
  bytes: count,
  digest: v.nullable(v.string()),
  code: v.string(),
});

const CHANGE = v.object({
  at: timeStamp,
  action: v.picklist(['mkdir', 'mv', 'rm']),
  path: v.string(),
  to: v.nullable(v.string()),
  entries: count,
});

const SESSION = v.object({
  id: v.string(),
  role: v.picklist(['server', 'client']),
  peer: v.object({
    fingerprint: v.custom<Fingerprint>(isFingerprint),
    name: v.string(),
    trusted: v.boolean(),
  }),
  user: v.nullable(v.string()),
  address: v.string(),
  port: v.number(),
  /** Hardware address of the peer, where the system knew it. */
  mac: v.optional(v.nullable(v.string()), null),
  /** The port of ours that was dialled; null where we dialled. */
  listener: v.nullable(v.number()),
  pid: v.number(),
  started: timeStamp,
  /** When something was last noted. */
  touched: timeStamp,
  sent: moved,
  received: moved,
  /** The last ones. */
  transfers: v.array(TRANSFER),
  /** What the peer has changed in shares of this machine, the last ones. */
  changes: v.optional(v.array(CHANGE), []),
  end: v.nullable(v.object({ at: timeStamp, code: v.string(), reason: v.nullable(v.string()) })),
});

const SCHEMA = v.object({ sessions: v.array(SESSION) });

const moment = v.pipe(v.string(), v.isoTimestamp());
/**
 * What is looked at in a session that is only written back. To check all of a thousand takes longer than a small file
 * needs to cross, and each process writes once at the least.
 */
const WRITTEN = v.looseObject({ id: v.string(), started: moment, touched: moment });
const WRITTEN_SCHEMA = v.object({ sessions: v.array(WRITTEN) });
type WrittenRecord = v.InferOutput<typeof WRITTEN>;

type Content = v.InferOutput<typeof SCHEMA>;
type MutableRecord = v.InferOutput<typeof SESSION>;

/** One connection in the history. `role` is this machine's; `code` of its end is `OK` or an error code. */
export type SessionRecord = Readonly<MutableRecord>;
/** One transfer in the history of a session. */
export type SessionTransfer = Readonly<v.InferOutput<typeof TRANSFER>>;

/** One change in a share, in the history of a session. */
export type SessionChange = Readonly<v.InferOutput<typeof CHANGE>>;

/** Who is connected, for {@link SessionStore.begin}. */
export interface SessionBeginning extends Pick<SessionRecord, 'role' | 'peer' | 'address' | 'port'> {
  /** The session's id, hex; a random one when absent. Never its secret. */
  readonly id?: string;
  readonly user?: string;
  readonly listener?: number;
}

/** What crossed, for {@link SessionStore.transfer}. */
export interface SessionCrossing extends Omit<SessionTransfer, 'at' | 'digest' | 'paths'> {
  readonly paths: Iterable<string>;
  readonly digest?: string | undefined;
}

/**
 * The history of connections: who, from where, when, what crossed and how it ended. Notes are kept in memory and
 * written at most once a second; several processes may write at once. A history that can't be written is told to
 * `warn` and never disturbs a transfer.
 */
export class SessionStore implements AsyncDisposable {
  readonly #file: JsonFile<Content>;
  /** The same file, for those who only add to it. */
  readonly #journal: JsonFile<v.InferOutput<typeof WRITTEN_SCHEMA>>;
  readonly #bounds: Settings['sessions'];
  readonly #warn: Warn | undefined;
  /** The sessions of this process that run, or whose end is not written yet. */
  readonly #own = new Map<string, MutableRecord>();
  readonly #unwritten = new Set<string>();
  #lastWrite = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(home: Home, bounds: Settings['sessions'], warn?: Warn) {
    this.#bounds = bounds;
    this.#warn = warn;
    const common = {
      path: home.sessionsFile,
      version: 1,
      empty: () => ({ sessions: [] }),
      ...(warn === undefined ? {} : { warn }),
    };
    this.#file = new JsonFile({ ...common, schema: SCHEMA });
    this.#journal = new JsonFile({ ...common, schema: WRITTEN_SCHEMA });
  }

  /**
   * Notes a connection.
   * @returns the id by which the other methods know it.
   */
  begin(beginning: SessionBeginning): string {
    const id = beginning.id ?? randomBytes(16).toString('hex');
    const { role, peer, address, port } = beginning;
    const started = new Date();
    this.#own.set(id, {
      id,
      role,
      peer: { fingerprint: peer.fingerprint, name: cut(peer.name), trusted: peer.trusted },
      user: beginning.user === undefined ? null : cut(beginning.user),
      address: cut(address),
      port,
      mac: null,
      listener: beginning.listener ?? null,
      pid: process.pid,
      started,
      touched: started,
      sent: { files: 0, bytes: 0 },
      received: { files: 0, bytes: 0 },
      transfers: [],
      changes: [],
      end: null,
    });
    this.#note(id);
    return id;
  }

  /** Notes the user who has logged in. Does nothing for a session that is not under way here. */
  login(sessionId: string, user: string): void {
    const session = this.#own.get(sessionId);
    if (session === undefined) return;
    session.user = cut(user);
    this.#note(sessionId);
  }

  /** Notes the peer's hardware address. Does nothing for a session that is not under way here. */
  hardware(sessionId: string, mac: string): void {
    const session = this.#own.get(sessionId);
    if (session === undefined) return;
    session.mac = cut(mac);
    this.#note(sessionId);
  }

  /** Notes that a transfer ended. Does nothing for a session that is not under way here. */
  transfer(sessionId: string, crossing: SessionCrossing): void {
    const session = this.#own.get(sessionId);
    if (session === undefined || session.end !== null) return;
    const paths: string[] = [];
    for (const path of crossing.paths) {
      if (paths.length >= this.#bounds.paths) break;
      paths.push(cut(path));
    }
    const { id, direction, files, bytes, code, digest = null } = crossing;
    session.transfers.push({ id, direction, at: new Date(), paths, files, bytes, digest, code });
    if (session.transfers.length > this.#bounds.transfers) session.transfers.shift();
    const total = direction === 'send' ? session.sent : session.received;
    total.files += files;
    total.bytes += bytes;
    this.#note(sessionId);
  }

  /** Notes that the peer has changed something in a share. A folder that is removed part by part is one change. */
  changed(sessionId: string, { action, path, to, entries }: Omit<SessionChange, 'at'>): void {
    const session = this.#own.get(sessionId);
    if (session === undefined || session.end !== null) return;
    const [shown, target] = [cut(path), to === null ? null : cut(to)];
    const last = session.changes.at(-1);
    if (last?.action === 'rm' && action === 'rm' && last.path === shown) {
      last.at = new Date();
      last.entries += entries;
    } else session.changes.push({ at: new Date(), action, path: shown, to: target, entries });
    if (session.changes.length > this.#bounds.transfers) session.changes.shift();
    this.#note(sessionId);
  }

  /** Notes how a session ended. Does nothing for one that is not under way here. */
  end(sessionId: string, outcome: { readonly code: string; readonly reason?: string }): void {
    const session = this.#own.get(sessionId);
    if (session === undefined || session.end !== null) return;
    session.end = {
      at: new Date(),
      code: outcome.code,
      reason: outcome.reason === undefined ? null : cut(outcome.reason),
    };
    this.#note(sessionId);
  }

  /**
   * The history, newest first, with what is not written yet. A session whose process has died without an end shows
   * as `LOST`.
   */
  async list(filter: { readonly since?: Date } = {}): Promise<SessionRecord[]> {
    const { sessions } = await this.#file.read();
    const since = filter.since?.getTime() ?? Number.NEGATIVE_INFINITY;
    const all = new Map(sessions.map((session) => [session.id, session]));
    for (const [id, session] of this.#own) all.set(id, structuredClone(session));
    // Of those that began in the same millisecond the later one stands further behind.
    return [...all.values()]
      .reverse()
      .filter((session) => session.touched.getTime() >= since)
      .sort((a, b) => b.started.getTime() - a.started.getTime())
      .map((session) => (session.end === null && !isAlive(session.pid) ? asLost(session) : session));
  }

  /**
   * Removes sessions from the history: those of `ids`, or all that have ended.
   * @returns how many there were.
   */
  async forget(ids?: Iterable<string>): Promise<number> {
    await this.flush();
    const chosen = ids === undefined ? undefined : new Set(ids);
    const isChosen = (session: SessionRecord) =>
      chosen === undefined ? session.end !== null || !isAlive(session.pid) : chosen.has(session.id);
    let removed = 0;
    await this.#file.update(({ sessions }) => {
      const kept = sessions.filter((session) => !isChosen(session));
      removed = sessions.length - kept.length;
      return removed === 0 ? undefined : { sessions: kept };
    });
    for (const session of this.#own.values()) if (isChosen(session)) this.#own.delete(session.id);
    return removed;
  }

  /** Writes what is not written yet. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // Now and not when it is done: what is noted meanwhile waits its turn.
    this.#lastWrite = performance.now();
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** Writes what is not written yet; sessions that still run are noted as ended by the program. */
  async close(): Promise<void> {
    for (const id of [...this.#own.keys()]) this.end(id, { code: 'CLOSED', reason: 'the program ended' });
    await this.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #note(id: string): void {
    const session = this.#own.get(id);
    if (session !== undefined) session.touched = new Date();
    this.#unwritten.add(id);
    this.#writeSoon();
  }

  #writeSoon(): void {
    const wait = Math.max(LEAST_WAIT, this.#lastWrite + WRITE_STEP - performance.now());
    // It does not keep the process alive: whoever opened the store closes it.
    this.#timer ??= setTimeout(() => void this.flush(), wait).unref();
  }

  async #write(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const ids = [...this.#unwritten];
    this.#unwritten.clear();
    const records = ids.flatMap((id) => asWritten(this.#own.get(id)) ?? []);
    try {
      await this.#journal.update(({ sessions }) => {
        const all = new Map(sessions.map((session) => [session.id, session]));
        for (const record of records) all.set(record.id, record);
        return { sessions: this.#bounded([...all.values()]) };
      });
      for (const { id, end } of records) if (end !== null) this.#own.delete(id);
      this.#failed = false;
    } catch (error) {
      for (const id of ids) this.#unwritten.add(id);
      this.#dropOldest();
      // Nothing may be noted for long that would have it tried again.
      this.#writeSoon();
      if (!this.#failed)
        this.#warn?.(`the history can't be written: ${error instanceof Error ? error.message : error}`);
      this.#failed = true;
    }
  }

  /** The latest sessions, as many as the bounds allow, in the order of their start. */
  #bounded(sessions: WrittenRecord[]): WrittenRecord[] {
    const latest = sessions
      .toReversed()
      .sort((a, b) => Date.parse(b.touched) - Date.parse(a.touched))
      .slice(0, this.#bounds.keep);
    let bytes = 0;
    const kept = new Set(
      latest.filter((session) => {
        bytes += JSON.stringify(session).length * 2;
        return bytes <= MOST_BYTES;
      }),
    );
    return sessions
      .filter((session) => kept.has(session))
      .sort((a, b) => Date.parse(a.started) - Date.parse(b.started));
  }

  /** While nothing can be written, what waits in memory stays bounded. */
  #dropOldest(): void {
    for (const [id, session] of this.#own) {
      if (this.#own.size <= this.#bounds.keep) return;
      if (session.end === null) continue;
      this.#own.delete(id);
      this.#unwritten.delete(id);
    }
  }
}

/** A session as it stands in the file. A copy: it changes while the lock is waited for. */
function asWritten(session: MutableRecord | undefined): WrittenRecord | undefined {
  return session && v.parse(WRITTEN, JSON.parse(JSON.stringify(session)));
}

function cut(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS - 1)}…` : text;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

function asLost(session: SessionRecord): SessionRecord {
  return {
    ...session,
    end: { at: session.touched, code: 'LOST', reason: 'the program ended without saying so' },
  };
}
