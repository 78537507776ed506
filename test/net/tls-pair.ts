/** Two ends of one real TLS connection with the settings of localstream. */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { connect, createServer, TLSSocket } from 'node:tls';
import { contextOptions } from '../../src/net/tls.ts';
import { ALPN } from '../../src/protocol/limits.ts';
import { identities } from '../crypto/fixed.ts';

export interface TlsPair {
  readonly dialled: TLSSocket;
  readonly accepted: TLSSocket;
}

/** Connects both ends; they go with the test. Neither reads yet. */
export async function tlsPair(t: TestContext): Promise<TlsPair> {
  const server = createServer({ ...contextOptions(identities.bob), ALPNProtocols: [ALPN] });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  const dialled = connect({
    ...contextOptions(undefined),
    host: '127.0.0.1',
    port: address.port,
    servername: '',
    ALPNProtocols: [ALPN],
    rejectUnauthorized: false,
  });
  const [[accepted]] = await Promise.all([once(server, 'secureConnection'), once(dialled, 'secureConnect')]);
  server.close();
  if (!(accepted instanceof TLSSocket)) throw new Error('no TLS socket');
  for (const socket of [dialled, accepted]) {
    socket.on('error', () => {});
    t.after(() => socket.destroy());
  }
  return { dialled, accepted };
}

/** Takes from a socket what the way past the stream's own buffers needs, as a Node.js without it would. */
export function hidePrivateFields(socket: TLSSocket): void {
  for (const symbol of Object.getOwnPropertySymbols(socket))
    if (symbol.description === 'kBufferCb') Reflect.deleteProperty(socket, symbol);
}
