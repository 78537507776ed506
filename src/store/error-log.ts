import { join } from 'node:path';
import type { Logger } from 'pino';
import type { RotatingFileStream } from 'rotating-file-stream';
import type { Settings } from '../config.ts';
import { LocalstreamError, systemCode } from '../errors.ts';
import { ensurePrivateFolder, type Home } from './home.ts';
import type { Warn } from './json-file.ts';
import { withoutControls } from './json-text.ts';

/** Lines that may be written at once, and those that come in addition each second: a flood must not fill the disk. */
const FLOOD = { lines: 200, perSecond: 20 };
/** Causes below an error that are written. */
const MOST_CAUSES = 8;
const MOST_CHARACTERS = 2000;
/** After a failure the log is tried again after this time, in milliseconds. */
const RETRY = 60_000;

/** What happened, to whom. */
export interface ErrorNote {
  /** What was thrown; anything is taken. */
  readonly error: unknown;
  /** The peer's fingerprint, where one has proven itself. */
  readonly peer?: string;
  readonly address?: string;
  /** What was being done, as `list /docs`. */
  readonly doing?: string;
}

interface Sink {
  readonly logger: Logger;
  readonly stream: RotatingFileStream;
}

/**
 * The log of errors: a line of JSON each, rotated by size, private. Writing never throws and never waits; what can't
 * be written is told to `warn` once.
 */
export class ErrorLog implements AsyncDisposable {
  readonly #home: Home;
  readonly #bounds: Settings['log'];
  readonly #warn: Warn | undefined;
  #sink: Promise<Sink | undefined> | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #budget = FLOOD.lines;
  #budgetAt = performance.now();
  #suppressed = 0;

  constructor(home: Home, bounds: Settings['log'], warn?: Warn) {
    this.#home = home;
    this.#bounds = bounds;
    this.#warn = warn;
  }

  /** Notes an error. In a flood, lines are left out and counted. */
  write(note: ErrorNote): void {
    if (performance.now() - this.#failedAt < RETRY) return;
    if (!this.#mayWrite()) {
      this.#suppressed += 1;
      return;
    }
    const line = describe(note);
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#sink ??= this.#open();
    void this.#sink.then((sink) => sink?.logger.error(suppressed === 0 ? line : { ...line, suppressed }));
  }

  /** Waits until all that was noted is in the file, and closes it; the next note opens it again. Never rejects. */
  async close(): Promise<void> {
    const sink = await this.#sink;
    this.#sink = undefined;
    if (sink === undefined || sink.stream.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    sink.stream.once('close', resolve).once('error', () => resolve());
    sink.stream.end();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #mayWrite(): boolean {
    const now = performance.now();
    this.#budget = Math.min(FLOOD.lines, this.#budget + ((now - this.#budgetAt) / 1000) * FLOOD.perSecond);
    this.#budgetAt = now;
    if (this.#budget < 1) return false;
    this.#budget -= 1;
    return true;
  }

  async #open(): Promise<Sink | undefined> {
    try {
      ensurePrivateFolder(this.#home.log);
      // Loaded at the first error: most runs have none.
      const [{ pino }, { createStream }] = await Promise.all([
        import('pino'),
        import('rotating-file-stream'),
      ]);
      const stream = createStream((index) => (index ? `error.log.${index}` : 'error.log'), {
        path: join(this.#home.log, '/'),
        size: `${this.#bounds.maxBytes}B`,
        rotate: this.#bounds.keep,
        mode: 0o600,
      });
      stream.on('error', (error) => this.#fail(error));
      const options = { base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
      return { stream, logger: pino({ ...options, formatters: { level: (level) => ({ level }) } }, stream) };
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    const isFirst = this.#failedAt === Number.NEGATIVE_INFINITY;
    this.#failedAt = performance.now();
    this.#sink = undefined;
    if (isFirst)
      this.#warn?.(`the error log can't be written: ${error instanceof Error ? error.message : error}`);
  }
}

/** A thrown object may have getters that throw. */
function describe(note: ErrorNote): Record<string, unknown> {
  try {
    const { error, peer, address, doing } = note;
    const [first, ...causes] = chainOf(error);
    const words = Object.entries({ peer, address, doing }).flatMap(([key, text]) =>
      text === undefined ? [] : [[key, fit(text)]],
    );
    return { ...Object.fromEntries(words), ...first, ...(causes.length === 0 ? {} : { causes }) };
  } catch {
    return { message: 'an error that does not let itself be read' };
  }
}

interface Link {
  readonly name: string;
  readonly code?: string;
  readonly message: string;
  readonly stack?: string;
}

/** Only these fields of an error: others may hold anything, keys and passwords included. */
function chainOf(error: unknown): Link[] {
  const links: Link[] = [];
  const met = new Set<unknown>();
  for (let link = error; link !== undefined && !met.has(link) && links.length <= MOST_CAUSES; ) {
    met.add(link);
    if (!(link instanceof Error)) {
      links.push({ name: typeof link, message: typeof link === 'string' ? fit(link) : typeof link });
      break;
    }
    const code = link instanceof LocalstreamError ? link.code : systemCode(link);
    // The stack of an error that nobody foresaw is what mends it.
    const isForeseen = code !== undefined || links.length > 0;
    links.push({
      name: link.name,
      ...(code === undefined ? {} : { code }),
      message: fit(link.message),
      ...(isForeseen || link.stack === undefined ? {} : { stack: fit(link.stack) }),
    });
    link = link.cause;
  }
  return links;
}

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [^-]*PRIVATE KEY-----[\s\S]*?(?:-----END [^-]*-----|$)/g, '(private key)'],
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s@/]+@/gi, '$1:(password)@'],
  [/\b(pass(?:word|wd|phrase)?|secret|token)(["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|\S+)/gi, '$1$2(secret)'],
  [/\$argon2\w*\$\S+|\$2[aby]\$\d\d\$\S+/g, '(password hash)'],
  [/\b\d{1,4}-[a-z]{3,12}-[a-z]{3,12}\b/g, '(pairing code)'],
];

function fit(text: string): string {
  let result = text.slice(0, 8 * MOST_CHARACTERS);
  for (const [secret, word] of SECRETS) result = result.replace(secret, word);
  result = withoutControls(result);
  return result.length > MOST_CHARACTERS ? `${result.slice(0, MOST_CHARACTERS)}…` : result;
}
