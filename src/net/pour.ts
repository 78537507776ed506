/** Bytes for their own sake, one way over one connection: how fast a way is. Bounded in bytes and in time. */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { Limiter } from './limiter.ts';

/** How much a test may take. */
export interface SpeedBounds {
  readonly bytes: number;
  readonly milliseconds: number;
}

/** What has come, from the first byte to the last. */
export interface Measured {
  readonly bytes: number;
  readonly milliseconds: number;
}

const PIECE_BYTES = 256 * 1024;
/** What is in buffers when the time is over may still arrive. */
const GRACE = 5000;

/** Sends until a bound is reached, then ends the stream. Resolves when everything has left, or nobody takes it. */
export async function pour(
  socket: TLSSocket,
  bounds: SpeedBounds,
  limiter: Limiter | undefined,
): Promise<void> {
  const late = setTimeout(() => socket.destroy(), bounds.milliseconds + GRACE);
  const closed = once(socket, 'close').catch(() => {});
  const flow = limiter?.flow();
  const piece = randomFillSync(Buffer.alloc(Math.min(PIECE_BYTES, bounds.bytes)));
  const until = performance.now() + bounds.milliseconds;
  // What the other side sends is nobody's business, but its end has to be noticed.
  socket.resume();
  try {
    for (let sent = 0; sent < bounds.bytes && performance.now() < until && !socket.destroyed; ) {
      const size = Math.min(piece.length, bounds.bytes - sent);
      if (flow) {
        const { promise, resolve } = Promise.withResolvers<void>();
        flow.request(size, resolve);
        await Promise.race([promise, closed]);
      }
      if (!socket.write(piece.subarray(0, size))) await Promise.race([drained(socket), closed]);
      sent += size;
    }
    socket.end();
    await closed;
  } finally {
    clearTimeout(late);
    flow?.close();
    socket.destroy();
  }
}

function drained(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => socket.once('drain', resolve));
}

/** Takes what comes until it ends, and throws it away. More than the bounds allow ends the connection. */
export async function drain(
  socket: TLSSocket,
  bounds: SpeedBounds,
  limiter: Limiter | undefined,
): Promise<Measured> {
  const flow = limiter?.flow();
  let bytes = 0;
  let first = 0;
  let last = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = setTimeout(resolve, bounds.milliseconds + GRACE);
  socket.on('data', (piece: Buffer) => {
    last = performance.now();
    // The first piece starts the clock and is not counted: when its first byte left is not known.
    if (first === 0) first = last;
    else bytes += piece.length;
    if (bytes > bounds.bytes) resolve();
    if (!flow) return;
    socket.pause();
    flow.request(piece.length, () => socket.resume());
  });
  socket.once('end', resolve);
  socket.once('close', resolve);
  socket.resume();
  try {
    await promise;
    return { bytes: Math.min(bytes, bounds.bytes), milliseconds: Math.max(1, Math.round(last - first)) };
  } finally {
    clearTimeout(late);
    flow?.close();
    socket.destroy();
  }
}
