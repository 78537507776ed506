/** What goes over the socket of a server: a line of JSON each. */
import type { Socket } from 'node:net';
import * as v from 'valibot';
import { allCodes, type ErrorCode, errorOf, type LocalstreamError } from '../../errors.ts';
import type { Progress } from '../../index.ts';
import type { OutputEvent } from '../events.ts';
import { toLocalstreamError } from '../exit.ts';

/** Counted up when the meaning of a message changes. */
const VERSION = 1;

/** Bytes of a request: as long as a command line of the system can be. */
export const MOST_REQUEST_BYTES = 2 * 1024 * 1024;
/** Bytes of an answer's line: what a command prints at once. */
export const MOST_ANSWER_BYTES = 64 * 1024 * 1024;

const COLUMNS = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(10_000));

const RUN = v.object({
  version: v.literal(VERSION),
  run: v.pipe(v.array(v.string()), v.minLength(1)),
  /** Where relative paths start. */
  cwd: v.string(),
  json: v.boolean(),
  verbose: v.boolean(),
  yes: v.boolean(),
  columns: COLUMNS,
  /** Whether the text may be coloured. */
  colour: v.object({ out: v.boolean(), err: v.boolean() }),
  /** Whether results are read on a terminal, which must not act on them. */
  isTerminal: v.optional(v.boolean(), true),
});
const WATCH = v.object({ version: v.literal(VERSION), watch: v.literal(true) });
const STEER = v.object({ cancel: v.picklist(['CANCELLED', 'TERMINATED']) });

/** A command for the server to run. */
export type RunRequest = v.InferOutput<typeof RUN>;
/** Asks to be told what happens by itself. */
export type WatchRequest = v.InferOutput<typeof WATCH>;
/** Sent while the command runs. */
export type Steering = v.InferOutput<typeof STEER>;

const count = v.pipe(v.number(), v.minValue(0));
const PROGRESS = v.object({
  transferId: v.string(),
  peer: v.string(),
  direction: v.picklist(['send', 'receive']),
  phase: v.picklist(['waiting', 'moving', 'committing', 'reconnecting']),
  nextTry: v.optional(count),
  files: count,
  filesTotal: count,
  bytes: count,
  bytesTotal: count,
  bytesSkipped: count,
  totalsKnown: v.boolean(),
  current: v.optional(v.string()),
});
const FAILURE = v.object({ code: v.string(), message: v.string(), hint: v.nullable(v.string()) });

const ANSWER = v.union([
  v.object({ out: v.string() }),
  v.object({ err: v.string() }),
  v.object({ progress: PROGRESS }),
  v.object({ ended: v.literal(true), failure: v.nullable(FAILURE) }),
]);
const NEWS = v.union([
  v.object({ note: v.string(), event: v.nullable(v.looseObject({ event: v.string() })) }),
  v.object({ state: v.object({ pid: v.number(), ports: v.array(v.number()) }) }),
]);

/** What a command prints, how its transfers go, and its end. */
export type Answer =
  | { readonly out: string }
  | { readonly err: string }
  | { readonly progress: Progress }
  | { readonly ended: true; readonly failure: v.InferOutput<typeof FAILURE> | null };
/** What happens by itself. */
export type News =
  | { readonly note: string; readonly event: OutputEvent | null }
  | { readonly state: ServerState };

/** What others show of a server. */
export interface ServerState {
  readonly pid: number;
  /** Of its listeners. */
  readonly ports: readonly number[];
}

/** The version with which every request begins. */
export const REQUEST = { version: VERSION } as const;

/** Reads the first line of a connection. Throws BAD_MESSAGE, and NOT_SUPPORTED for another version. */
export function readRequest(value: unknown): RunRequest | WatchRequest {
  const request = v.safeParse(v.union([RUN, WATCH]), value);
  if (request.success) return request.output;
  const other = v.safeParse(v.object({ version: v.number() }), value);
  if (other.success && other.output.version !== VERSION)
    throw errorOf('NOT_SUPPORTED', 'the server that runs is of another version of localstream', {
      hint: 'shutdown it with that version and start it anew',
    });
  throw errorOf('BAD_MESSAGE', 'the request to the server can not be understood');
}

/** Reads a later line. Throws BAD_MESSAGE. */
export function readSteering(value: unknown): Steering {
  return checked(STEER, value);
}

/** Throws BAD_MESSAGE. */
export function readAnswer(value: unknown): Answer {
  const answer = checked(ANSWER, value);
  if (!('progress' in answer)) return answer;
  const { current, nextTry, ...progress } = answer.progress;
  return { progress: { ...progress, current, ...(nextTry !== undefined && { nextTry }) } };
}

/** Throws BAD_MESSAGE. Events are only handed on, and not looked into. */
export function readNews(value: unknown): News {
  const news = checked(NEWS, value);
  if ('state' in news) return news;
  // Written by this very program, and only printed: see readNews for what is acted on.
  return { note: news.note, event: news.event as OutputEvent | null };
}

function checked<Schema extends v.GenericSchema>(schema: Schema, value: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw errorOf('BAD_MESSAGE', 'what came over the socket of the server can not be understood');
}

/** An error as it travels. */
export function failureOf({ code, message, hint }: LocalstreamError): v.InferOutput<typeof FAILURE> {
  return { code, message, hint: hint ?? null };
}

/** The error that it was. */
export function errorOfFailure({ code, message, hint }: v.InferOutput<typeof FAILURE>): LocalstreamError {
  const known = allCodes().find((row) => row.code === code)?.code ?? ('INTERNAL' as ErrorCode);
  return errorOf(known, message, hint === null ? {} : { hint });
}

/** Writes a message; says whether more may follow at once. `done` is told when it has left. */
export function sendLine(socket: Socket, message: object, done?: () => void): boolean {
  if (socket.destroyed || !socket.writable) {
    done?.();
    return true;
  }
  return socket.write(`${JSON.stringify(message)}\n`, () => done?.());
}

/**
 * Hands on each line of a socket as what it says.
 * @param onBad Is told once of a line that is too long, or no JSON: nothing is read any more then.
 */
export function readLines(
  socket: Socket,
  mostBytes: number,
  onLine: (value: unknown) => void,
  onBad: (error: LocalstreamError) => void,
): void {
  let parts: Buffer[] = [];
  let size = 0;
  let isBad = false;
  const take = (part: Buffer) => {
    parts.push(part);
    size += part.length;
    if (size > mostBytes) throw errorOf('BAD_MESSAGE', 'a line on the socket of the server is too long');
  };
  const onData = (chunk: Buffer) => {
    if (isBad) return;
    try {
      let rest = chunk;
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        take(rest.subarray(0, end));
        const text = Buffer.concat(parts).toString('utf8');
        parts = [];
        size = 0;
        rest = rest.subarray(end + 1);
        onLine(parsed(text));
      }
      take(rest);
    } catch (error) {
      isBad = true;
      parts = [];
      onBad(toLocalstreamError(error));
    }
  };
  socket.on('data', onData);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw errorOf('BAD_MESSAGE', 'a line on the socket of the server is no JSON', { cause });
  }
}
