/** The control channel: whole messages over a TLS socket, in order, bounded in both directions. */
import type { Socket } from 'node:net';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import { ControlDecoder, encodeControl, MAX_MESSAGE, type RawMessage } from '../protocol/control-codec.ts';
import { flagNumber, flagOfError } from '../protocol/flags.ts';

/** Messages that may wait unread, and their bytes; a peer that sends more than we take is paused, not buffered. */
const MAX_WAITING = 64;
const MAX_WAITING_BYTES = MAX_MESSAGE;
/** Bytes that may wait to be sent before the peer counts as gone. */
const MAX_UNSENT = 4 * 1024 * 1024;

/** Names an error of a socket. */
export function connectionError(error: unknown): LocalstreamError {
  if (error instanceof LocalstreamError) return error;
  const code = systemCode(error);
  const lost =
    code === 'ECONNRESET' || code === 'EPIPE' ? 'the connection was reset' : 'the connection was lost';
  return errorOf('LOST', lost, { cause: error });
}

/** One control channel. It owns the socket and reads only while somebody waits or there is room. */
export class ControlChannel {
  readonly #socket: Socket;
  readonly #decoder = new ControlDecoder();
  readonly #messages: RawMessage[] = [];
  #waitingBytes = 0;
  #waiter: PromiseWithResolvers<RawMessage> | undefined;
  #failure: LocalstreamError | undefined;
  #sent = 0;
  /** Settles when the channel has ended, with the reason. */
  readonly ended: Promise<LocalstreamError>;
  readonly #end: (reason: LocalstreamError) => void;
  /** When the last byte came, by `performance.now()`. */
  lastHeard = performance.now();

  constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<LocalstreamError>();
    this.ended = promise;
    this.#end = resolve;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.fail(connectionError(error)));
    // Whoever leaves in order says `bye` first.
    socket.on('end', () => this.fail(errorOf('LOST', 'the other side hung up')));
    socket.on('close', () => this.fail(errorOf('LOST', 'the connection was lost')));
  }

  /** The peer was let in: longer messages are taken from now on. */
  admit(): void {
    this.#decoder.limit = MAX_MESSAGE;
  }

  /** Gives back bytes that were read before the channel was made. */
  unshift(bytes: Buffer): void {
    if (bytes.length > 0) this.#take(bytes);
  }

  /** Sends one message; returns the exact bytes of its body. Throws when the channel has ended. */
  send(message: object): Buffer {
    if (this.#failure) throw this.#failure;
    const { frame, body } = encodeControl(this.#sent, message);
    this.#sent += 1;
    this.#socket.write(frame);
    if (this.#socket.writableLength > MAX_UNSENT)
      this.fail(errorOf('LOST', 'the peer takes nothing any more'));
    return body;
  }

  /** The next message, in order. Rejects with the reason when the channel has ended and all was taken. */
  receive(): Promise<RawMessage> {
    const next = this.#messages.shift();
    if (next) {
      this.#waitingBytes -= next.bytes.length;
      if (this.#messages.length < MAX_WAITING / 2 && this.#waitingBytes < MAX_WAITING_BYTES / 2)
        this.#socket.resume();
      return Promise.resolve(next);
    }
    if (this.#failure) return Promise.reject(this.#failure);
    this.#waiter ??= Promise.withResolvers<RawMessage>();
    return this.#waiter.promise;
  }

  /** Ends the channel for a reason. What was sent before still goes out, bounded by the socket's own time-out. */
  fail(reason: LocalstreamError): void {
    if (this.#failure) return;
    this.#failure = reason;
    this.#waiter?.reject(reason);
    this.#waiter = undefined;
    this.#socket.end(() => this.#socket.destroy());
    // A peer that doesn't read would keep the socket half closed for ever.
    setTimeout(() => this.#socket.destroy(), 1000).unref();
    this.#end(reason);
  }

  /** The other side breaks the framing itself: it is told so before the channel ends. */
  #refuse(reason: LocalstreamError): void {
    try {
      this.send({ type: 'bye', flag: flagNumber(flagOfError(reason)) });
    } catch {
      // It has ended already.
    }
    this.fail(reason);
  }

  #take(chunk: Buffer): void {
    this.lastHeard = performance.now();
    if (this.#failure) return;
    try {
      for (const message of this.#decoder.push(chunk)) {
        const waiter = this.#waiter;
        this.#waiter = undefined;
        if (waiter) waiter.resolve(message);
        else {
          this.#messages.push(message);
          this.#waitingBytes += message.bytes.length;
        }
      }
    } catch (error) {
      this.#refuse(connectionError(error));
    }
    if (this.#messages.length >= MAX_WAITING || this.#waitingBytes >= MAX_WAITING_BYTES) this.#socket.pause();
  }
}
