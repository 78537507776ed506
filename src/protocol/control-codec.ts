/**
 * Framing of the control channel: `u32 length ‖ JSON`, each message numbered from 0 in its direction.
 * The codec knows no message; `messages.ts` says which there are.
 */
import { errorOf } from '../errors.ts';

/** Bytes of the length field. */
const LENGTH_BYTES = 4;
/** The largest message while the peer is not let in yet, in bytes. */
export const MAX_STRANGER_MESSAGE = 16 * 1024;
/** The largest message of a session, in bytes. */
export const MAX_MESSAGE = 256 * 1024;

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
    throw errorOf('LIMIT', `a control message of ${body.length} bytes is too long`);
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, LENGTH_BYTES);
  return { frame, body };
}

/** Takes the bytes of one direction apart. What it holds never exceeds one message and the chunk it is given. */
export class ControlDecoder {
  /** The bound for one message; raised when the peer has been let in. */
  limit = MAX_STRANGER_MESSAGE;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #next = 0;

  /**
   * Adds bytes and returns the messages that they complete.
   * Throws BAD_MESSAGE for a length of 0 or over the limit, for what is not a JSON object, and for a wrong number.
   */
  push(chunk: Buffer): RawMessage[] {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    const messages: RawMessage[] = [];
    for (;;) {
      if (this.#heldBytes < LENGTH_BYTES) return messages;
      const length = this.#peekLength();
      if (length === 0 || length > this.limit)
        throw errorOf('BAD_MESSAGE', `a control message claims ${length} bytes, ${this.limit} are allowed`);
      if (this.#heldBytes < LENGTH_BYTES + length) return messages;
      messages.push(this.#parse(this.#take(LENGTH_BYTES + length).subarray(LENGTH_BYTES)));
    }
  }

  #peekLength(): number {
    return this.#front(LENGTH_BYTES).readUInt32BE(0);
  }

  /** Joins held chunks until the first has `wanted` bytes: only as much as is needed, so trickled bytes cost little. */
  #front(wanted: number): Buffer {
    const first = this.#held[0];
    if (first && first.length >= wanted) return first;
    const joined = Buffer.concat(this.#held);
    this.#held = [joined];
    return joined;
  }

  #take(wanted: number): Buffer {
    const first = this.#front(wanted);
    const rest = first.subarray(wanted);
    if (rest.length > 0) this.#held[0] = rest;
    else this.#held.shift();
    this.#heldBytes -= wanted;
    return first.subarray(0, wanted);
  }

  #parse(bytes: Buffer): RawMessage {
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
