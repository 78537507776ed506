/** Results on stdout, everything else on stderr; for people as text, with `--json` as one event a line on stdout. */
import type { ErrorCode, LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { OutputEvent } from './events.ts';
import { type Paint, PLAIN } from './paint.ts';
import type { Screen } from './screen.ts';

/** Long enough for any message with two paths in it. */
const LONGEST_LINE = 4000;

/** A command in the shell tells its error, and the end of the shell may bring it again. */
const told = new WeakSet<LocalstreamError>();

/** How results and messages are shown. */
export interface OutputStyle {
  readonly json: boolean;
  readonly verbose: boolean;
  /** Results go to stderr too. */
  readonly aside: boolean;
  /** For stdout. */
  readonly paint: Paint;
  /** For stderr. */
  readonly errorPaint: Paint;
  /** Whether results are read on a terminal, where the streams can't tell. */
  readonly isTerminal?: boolean;
}

/** What commands print with. */
export class Output {
  readonly screen: Screen;
  readonly style: OutputStyle;

  constructor(screen: Screen, style: Partial<OutputStyle> = {}) {
    this.screen = screen;
    this.style = { json: false, verbose: false, aside: false, paint: PLAIN, errorPaint: PLAIN, ...style };
  }

  get json(): boolean {
    return this.style.json;
  }

  /** Whether results go to a terminal, which would act on what it is sent. */
  get isTerminal(): boolean {
    const { isTerminal, aside } = this.style;
    return isTerminal ?? (aside ? this.screen.stderr : this.screen.stdout).isTTY === true;
  }

  /** The same streams in another style. */
  with(style: Partial<OutputStyle>): Output {
    return new Output(this.screen, { ...this.style, ...style });
  }

  /** The same with everything on stderr: stdout belongs to the bytes of a file. */
  aside(): Output {
    return this.with({ aside: true });
  }

  /** A result: the event with `--json`, otherwise the text. Hostile text in it must have been escaped. */
  result(event: OutputEvent, text: string | (() => string)): void {
    if (this.json) this.event(event);
    else this.#out(`${typeof text === 'string' ? text : text()}\n`);
  }

  /** Several results that are one text for people, its line end included. */
  results(events: readonly OutputEvent[], text: string): void {
    if (!this.json) this.#out(text);
    for (const event of events) this.event(event);
  }

  /** Something that a person should know: one line on stderr, or the event (a notice where there is none). */
  note(text: string, event?: OutputEvent): void {
    if (this.json) this.event(event ?? { event: 'notice', message: text });
    else this.screen.err(`${text}\n`);
  }

  /** Said only with `--verbose`, on stderr in either form. */
  detail(text: string): void {
    if (this.style.verbose) this.screen.err(`${this.style.errorPaint.faint(text)}\n`);
  }

  /** One event, with `--json` only. */
  event(event: OutputEvent): void {
    if (this.json) this.#out(`${encodeEvent(event)}\n`);
  }

  #out(text: string): void {
    if (this.style.aside) this.screen.err(text);
    else this.screen.out(text);
  }

  /** An error: one line on stderr, and with `--json` the event besides. Told once, however often it is handed on. */
  error(error: LocalstreamError): void {
    if (told.has(error)) return;
    told.add(error);
    // An error about the output's own end has nobody to read it.
    if (this.screen.isGone && this.screen.failure === undefined) return;
    this.event({
      event: 'error',
      code: error.code,
      exit: error.exit,
      message: error.message,
      hint: error.hint ?? null,
    });
    this.screen.err(`${errorLine(error, this.style.errorPaint)}\n`);
    for (let cause = error.cause; cause !== undefined && this.style.verbose; cause = causeOf(cause)) {
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      for (const line of text.split('\n')) this.detail(`  ${escapeText(line, LONGEST_LINE)}`);
    }
  }

  /** The last event of a run. */
  done(exit: number, code: ErrorCode): void {
    this.event({ event: 'done', exit, code });
  }
}

/** `localstream: what: why; what to do`, one line whatever the message holds. */
export function errorLine(error: LocalstreamError, paint: Paint = PLAIN): string {
  const hint = error.hint === undefined ? '' : `; ${error.hint}`;
  return `${paint.bad('localstream:')} ${escapeText(`${error.message}${hint}`, LONGEST_LINE)}`;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

/** What a terminal or an editor would act on, and JSON lets through. */
const UNSAFE = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * One event as one line of JSON. Characters that a terminal would act on are written as `\uXXXX`, which names the
 * same character: the text stays exact and harmless. Lone surrogates are escaped by `JSON.stringify` itself.
 */
export function encodeEvent(event: OutputEvent): string {
  return JSON.stringify(event).replace(UNSAFE, (character) => {
    let escaped = '';
    for (let index = 0; index < character.length; index += 1) {
      escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}
