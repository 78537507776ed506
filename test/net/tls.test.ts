/** The settings of TLS and the checks behind it, each against an end that has other ideas. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import {
  type ConnectionOptions,
  connect,
  createServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { LocalstreamError } from '../../src/errors.ts';
import { checkChannel, checkPeer, contextOptions, exportSecret, hasCertificate } from '../../src/net/tls.ts';
import { ALPN } from '../../src/protocol/limits.ts';
import { certificateAround } from '../crypto/der.ts';
import { identities } from '../crypto/fixed.ts';

const { alice, bob } = identities;

const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

/** Both ends of a connection, or the error of the dialler's. */
async function meet(
  t: TestContext,
  client: ConnectionOptions = {},
  server: TlsOptions = {},
): Promise<{ c: TLSSocket; s: TLSSocket } | { error: unknown }> {
  const listener = createServer({
    ...contextOptions(bob),
    ALPNProtocols: [ALPN],
    requestCert: true,
    rejectUnauthorized: false,
    ...server,
  });
  const port = await listen(t, listener);
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  const c = connect({ ...contextOptions(alice), ...where(port), ...client });
  t.after(() => c.destroy());
  try {
    await once(c, 'secureConnect');
    const [s] = await accepted;
    t.after(() => s.destroy());
    for (const socket of [c, s]) socket.on('error', () => {});
    return { c, s };
  } catch (error) {
    accepted.catch(() => {});
    return { error };
  }
}

async function met(t: TestContext, client?: ConnectionOptions, server?: TlsOptions) {
  const both = await meet(t, client, server);
  if ('error' in both) throw both.error;
  return both;
}

async function refused(t: TestContext, client?: ConnectionOptions, server?: TlsOptions): Promise<void> {
  const both = await meet(t, client, server);
  assert.ok('error' in both && both.error instanceof Error, 'they met');
}

const where = (port: number): ConnectionOptions => ({
  host: '127.0.0.1',
  port,
  servername: '',
  ALPNProtocols: [ALPN],
  rejectUnauthorized: false,
});

/** Opens a server of any kind; it goes with the test. */
async function listen(t: TestContext, server: Server): Promise<number> {
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function dialled(t: TestContext, port: number, extra: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ ...contextOptions(alice), ...where(port), ...extra });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

suite('TLS', () => {
  test('two of ours agree on TLS 1.3, the hybrid group and AES-256-GCM, and know each other', async (t) => {
    const { c, s } = await met(t);
    checkChannel(c);
    checkChannel(s);
    const server = checkPeer(c);
    assert.equal(server.fingerprint, bob.fingerprint);
    assert.equal(server.group, 'X25519MLKEM768');
    assert.equal(server.cipher, 'TLS_AES_256_GCM_SHA384');
    const client = checkPeer(s);
    assert.equal(client.fingerprint, alice.fingerprint);
    assert.equal(client.group, '');
  });

  test('one without the hybrid group gets X25519, one without either gets nothing', async (t) => {
    const { c } = await met(t, { ecdhCurve: 'X25519' });
    assert.equal(checkPeer(c).group, 'X25519');
    await refused(t, { ecdhCurve: 'P-256:X448' });
  });

  test('TLS 1.2 is refused, by either end', async (t) => {
    const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
    await refused(t, { ...old, ciphers: 'DEFAULT' });
    await refused(t, {}, { ...old, ciphers: 'DEFAULT' });
  });

  test('signatures other than RSA-PSS with SHA-256 are refused', async (t) => {
    await refused(t, { sigalgs: 'rsa_pss_rsae_sha512' });
    await refused(t, {}, { sigalgs: 'rsa_pss_rsae_sha384' });
  });

  test('another ALPN name is refused by TLS itself, none by our check', async (t) => {
    await refused(t, { ALPNProtocols: ['http/1.1'] });
    await refused(t, { ALPNProtocols: ['localstream/2', 'LOCALSTREAM/1'] });
    const none = await met(t, { ALPNProtocols: [] });
    assert.throws(() => checkChannel(none.s), isCode('NOT_LOCALSTREAM'));
    assert.throws(() => checkChannel(none.c), isCode('NOT_LOCALSTREAM'));
  });

  test('a server that chooses no ALPN name is not localstream', async (t) => {
    const port = await listen(t, createServer(contextOptions(bob)));
    const c = await dialled(t, port);
    assert.throws(() => checkChannel(c), isCode('NOT_LOCALSTREAM'));
  });

  for (const ours of [false, true])
    test(`a ticket ${ours ? 'is of no use with our settings' : 'would let in whoever has no key, and our check sees it'}`, async (t) => {
      const server = createServer({
        ...contextOptions(bob),
        ...(ours ? {} : { secureOptions: 0 }),
        ALPNProtocols: [ALPN],
        requestCert: true,
        rejectUnauthorized: false,
      });
      const port = await listen(t, server);
      const first = connect({ ...contextOptions(alice), ...where(port), secureOptions: 0 });
      t.after(() => first.destroy());
      const [session] = (await once(first, 'session')) as [Buffer];
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      const again = await dialled(t, port, { session, secureOptions: 0, key: undefined, cert: undefined });
      const [s] = await accepted;
      t.after(() => s.destroy());
      assert.equal(s.isSessionReused(), !ours);
      // Where it is resumed, the certificate of the first connection is shown for the second.
      assert.equal(hasCertificate(s), !ours);
      if (ours) return;
      assert.throws(() => checkChannel(s), isCode('BAD_HANDSHAKE'));
      assert.throws(() => checkChannel(again), isCode('BAD_HANDSHAKE'));
    });

  test('only an RSA key of 3072 bits with e = 65537 is a peer', async (t) => {
    const pem = (der: Buffer) =>
      `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    const small = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const odd = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 });
    for (const { privateKey, publicKey } of [small, odd]) {
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
      const cert = pem(certificateAround(publicKey.export({ type: 'spki', format: 'der' })));
      const asClient = await met(t, { key, cert });
      assert.throws(() => checkPeer(asClient.s), isCode('BAD_HANDSHAKE'));
      const asServer = await met(t, {}, { key, cert });
      assert.throws(() => checkPeer(asServer.c), isCode('BAD_HANDSHAKE'));
    }
  });

  test('an EC key does not get through TLS', async (t) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const der = certificateAround(publicKey.export({ type: 'spki', format: 'der' }));
    const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    await refused(t, {}, { key, cert, sigalgs: 'ecdsa_secp256r1_sha256' });
    // A client's key is asked for after the dialler's handshake is over: the listener ends it.
    const both = await meet(t, { key, cert });
    if ('s' in both) assert.throws(() => checkPeer(both.s), isCode('BAD_HANDSHAKE'));
  });

  test('no certificate is no peer', async (t) => {
    const { s } = await met(t, { key: undefined, cert: undefined });
    assert.equal(hasCertificate(s), false);
    assert.throws(() => checkPeer(s), isCode('BAD_HANDSHAKE'));
    checkChannel(s);
  });

  test('both ends export the same secret, another one for each label and connection', async (t) => {
    const one = await met(t);
    const other = await met(t);
    const secrets = [one, other].flatMap(({ c }) =>
      ['a', 'b'].map((label) => exportSecret(c, label).toString('hex')),
    );
    assert.equal(new Set(secrets).size, 4);
    assert.deepEqual(exportSecret(one.s, 'a'), exportSecret(one.c, 'a'));
    one.c.destroy();
    assert.throws(() => exportSecret(one.c, 'a'), isCode('LOST'));
  });
});
