import { PIECE_BYTES } from '../protocol/frame.ts';

/** A buffer for one piece of a file, made when it is first needed and then used again for every piece. */
export class PieceBuffer {
  #bytes: Buffer | undefined;

  /** The first `length` bytes of it, with whatever is in them; at most {@link PIECE_BYTES}. */
  take(length: number): Buffer {
    this.#bytes ??= Buffer.allocUnsafe(PIECE_BYTES);
    return this.#bytes.subarray(0, length);
  }
}
