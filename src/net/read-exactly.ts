/** Reads the first bytes of a connection, before it is known what it is. */
import type { Socket } from 'node:net';
import { errorOf } from '../errors.ts';
import { connectionError } from './control-channel.ts';

/**
 * Resolves with exactly `length` bytes; what came behind them is put back. The socket is paused then and has none of
 * our listeners. Rejects with CLOSED, LOST or, after `milliseconds`, TIMEOUT.
 */
export function readExactly(socket: Socket, length: number, milliseconds: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let held = Buffer.alloc(0);
  const settle = (error?: unknown) => {
    clearTimeout(timer);
    socket.off('data', take).off('error', fail).off('end', ended).off('close', ended);
    socket.pause();
    if (error) {
      reject(error);
      return;
    }
    if (held.length > length) socket.unshift(held.subarray(length));
    resolve(held.subarray(0, length));
  };
  const take = (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    if (held.length >= length) settle();
  };
  const fail = (error: Error) => settle(connectionError(error));
  const ended = () => settle(errorOf('CLOSED'));
  const timer = setTimeout(() => settle(errorOf('TIMEOUT')), milliseconds);
  socket.on('data', take).on('error', fail).on('end', ended).on('close', ended);
  socket.resume();
  return promise;
}
