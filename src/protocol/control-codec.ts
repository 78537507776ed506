/**
 * Framing of the control channel: `u32 length ‖ JSON`, each message numbered from 0 in its direction.
 * The codec knows no message; `messages.ts` says which there are.
 */
import { isUtf8 } from 'node:buffer';
import { errorOf } from '../errors.ts';

/** Bytes of the length field. */
const LENGTH_BYTES = 4;
/** The largest message while the peer is not let in yet, in bytes. */
export const MAX_STRANGER_MESSAGE = 16 * 1024;
/** The largest message of a session, in bytes. */
export const MAX_MESSAGE = 1024 * 1024;

/** A message as it came: its exact bytes (the transcript needs them) and the parsed JSON. */
export interface RawMessage {
  readonly bytes: Buffer;
  readonly value: unknown;
}

/** Encodes one message with its number. Throws LIMIT when it is over {@link MAX_MESSAGE}. */
export function encodeControl(
  number: number,
  message: object,
): { readonly frame: Buffer; readonly body: Buffer } {
  const body = Buffer.from(JSON.stringify({ n: number, ...message }));
  if (body.length > MAX_MESSAGE)
    throw errorOf('LIMIT', `a message of ${body.length} bytes is too long`, {
      hint: 'name less at once: the folder it is in, say',
    });
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, LENGTH_BYTES);
  return { frame, body };
}

/** Takes the bytes of one direction apart. What it holds is bounded by the message that has begun, not by its claim. */
export class ControlDecoder {
  /** The bound for one message; raised when the peer has been let in. */
  limit = MAX_STRANGER_MESSAGE;
  /** Room for what has come, and how much of it is taken. */
  #held: Buffer = Buffer.alloc(0);
  #used = 0;
  #next = 0;

  /**
   * Adds bytes and returns the messages that they complete.
   * Throws BAD_MESSAGE for a length of 0 or over the limit, for what is not a JSON object in UTF-8, and for a wrong
   * number.
   */
  push(chunk: Buffer): RawMessage[] {
    this.#append(chunk);
    const messages: RawMessage[] = [];
    let start = 0;
    while (this.#used - start >= LENGTH_BYTES) {
      const length = this.#held.readUInt32BE(start);
      if (length === 0 || length > this.limit)
        throw errorOf('BAD_MESSAGE', `a control message claims ${length} bytes, ${this.limit} are allowed`);
      const end = start + LENGTH_BYTES + length;
      if (end > this.#used) break;
      messages.push(this.#parse(this.#held.subarray(start + LENGTH_BYTES, end)));
      start = end;
    }
    // What follows is written behind the rest: the messages above keep their bytes.
    this.#held = this.#held.subarray(start);
    this.#used -= start;
    return messages;
  }

  /** Trickled bytes are gathered in room that doubles: no object a chunk, and no copy of everything a byte. */
  #append(chunk: Buffer): void {
    if (this.#used === 0) {
      this.#held = chunk;
      this.#used = chunk.length;
      return;
    }
    const wanted = this.#used + chunk.length;
    if (wanted > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#used));
      this.#held.copy(larger, 0, 0, this.#used);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#used);
    this.#used = wanted;
  }

  #parse(bytes: Buffer): RawMessage {
    if (!isUtf8(bytes)) throw errorOf('BAD_MESSAGE', 'a control message is not UTF-8');
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString('utf8'));
    } catch (cause) {
      throw errorOf('BAD_MESSAGE', 'a control message is not JSON', { cause });
    }
    if (typeof value !== 'object' || value === null || !('n' in value) || value.n !== this.#next)
      throw errorOf('BAD_MESSAGE', `a control message is not number ${this.#next}`);
    this.#next += 1;
    return { bytes, value };
  }
}
