/** The exchange over real TLS connections: the exporters, the certificates and the labels as they meet in use. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { checkCertificate } from '../../src/crypto/certificate.ts';
import {
  deriveSession,
  EXPORTER_BYTES,
  LANE_EXPORTER_LABEL,
  laneExporter,
  laneProof,
  newShare,
  type Role,
  SESSION_EXPORTER_LABEL,
  type SessionKeys,
  type Share,
  sameBytes,
  sessionExporter,
  shareLabel,
  transcriptHash,
  unwrapShare,
  wrapShare,
} from '../../src/crypto/exchange.ts';
import { certifiedEncryptionKey, type Identity } from '../../src/crypto/identity.ts';
import { certificateAround } from './der.ts';
import { identities, isBadHandshake } from './fixed.ts';

const { alice, bob, mallory } = identities;

interface Credentials {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
}

function credentialsOf(identity: Identity): Credentials {
  return { key: identity.signingKey.export({ type: 'pkcs8', format: 'pem' }), cert: identity.certificate };
}

const TLS = {
  minVersion: 'TLSv1.3',
  rejectUnauthorized: false,
  ALPNProtocols: ['localstream/1'],
  sigalgs: 'rsa_pss_rsae_sha256',
} as const;

/** Two ends of one TLS 1.3 connection, and the certificate that each got. `extra` is what a hostile client would set. */
async function connected(client: Credentials, server: Credentials, extra: { ciphers?: string } = {}) {
  const listener = createServer({ ...TLS, ...server, requestCert: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(typeof address === 'object' && address !== null);
  const dialled = connect({
    ...TLS,
    ...client,
    ...extra,
    host: '127.0.0.1',
    port: address.port,
    servername: '',
  });
  const [[listening]] = await Promise.all([
    once(listener, 'secureConnection'),
    once(dialled, 'secureConnect'),
  ]);
  const ends: { c: TLSSocket; s: TLSSocket } = { c: dialled, s: listening };
  // Asked once, because on the dialling side Node hands the certificate out only once.
  const certificates = { c: ends.c.getPeerX509Certificate()?.raw, s: ends.s.getPeerX509Certificate()?.raw };
  return {
    ...ends,
    peerOf: (role: Role) => checkCertificate(certificates[role] ?? Buffer.alloc(0)),
    async [Symbol.asyncDispose](): Promise<void> {
      ends.c.destroy();
      ends.s.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

type Connection = Awaited<ReturnType<typeof connected>>;

function sessionExporterOf(socket: TLSSocket) {
  return sessionExporter(
    socket.exportKeyingMaterial(EXPORTER_BYTES, SESSION_EXPORTER_LABEL, Buffer.alloc(0)),
  );
}

/** One end's view of the exchange: only its own socket, identity and share, and what the other sent. */
function endOf(role: Role, connection: Connection, self: Identity, announced: Identity) {
  const peer = connection.peerOf(role);
  const exporter = sessionExporterOf(connection[role]);
  const [fpC, fpS] =
    role === 'c' ? [self.fingerprint, peer.fingerprint] : [peer.fingerprint, self.fingerprint];
  const share = newShare();
  const encryptionKey = certifiedEncryptionKey(
    peer.publicKey,
    announced.encryptionSpki,
    announced.encryptionSignature,
  );
  const other = role === 'c' ? 's' : 'c';
  return {
    sent: wrapShare(encryptionKey, share, shareLabel(role, fpC, fpS, exporter)),
    async finish(ctC: Buffer, ctS: Buffer): Promise<SessionKeys> {
      const received: Share = await unwrapShare(
        self,
        role === 'c' ? ctS : ctC,
        shareLabel(other, fpC, fpS, exporter),
      );
      const transcript = transcriptHash(Buffer.from('hello c'), Buffer.from('hello s'), ctC, ctS);
      const [shareC, shareS] = role === 'c' ? [share, received] : [received, share];
      return deriveSession({ exporter, shareC, shareS, transcript, fpC, fpS });
    },
  };
}

describe('over TLS', () => {
  it('both ends derive one session, and its lanes', async () => {
    await using control = await connected(credentialsOf(alice), credentialsOf(bob));
    const client = endOf('c', control, alice, bob);
    const server = endOf('s', control, bob, alice);
    const [keysC, keysS] = await Promise.all([
      client.finish(client.sent, server.sent),
      server.finish(client.sent, server.sent),
    ]);
    assert.deepEqual(keysC, keysS);

    await using lane = await connected(credentialsOf(alice), credentialsOf(bob));
    const proof = (socket: TLSSocket, role: Role): Buffer => {
      const bytes = socket.exportKeyingMaterial(EXPORTER_BYTES, LANE_EXPORTER_LABEL, Buffer.alloc(0));
      return laneProof(role, keysC, laneExporter(bytes), keysC.id, 1);
    };
    assert.ok(sameBytes(proof(lane.c, 'c'), proof(lane.s, 'c')));
    assert.ok(sameBytes(proof(lane.c, 's'), proof(lane.s, 's')));
    assert.ok(!sameBytes(proof(lane.c, 'c'), proof(control.c, 'c')), 'a lane cannot be moved');
  });

  it('a share can’t be carried to another connection of the same two peers', async () => {
    await using one = await connected(credentialsOf(alice), credentialsOf(bob));
    await using other = await connected(credentialsOf(alice), credentialsOf(bob));
    const client = endOf('c', one, alice, bob);
    const server = endOf('s', other, bob, alice);
    await assert.rejects(server.finish(client.sent, server.sent), isBadHandshake);
  });

  it('one between two TLS connections can’t pass shares on', async () => {
    await using towardsAlice = await connected(credentialsOf(alice), credentialsOf(mallory));
    await using towardsBob = await connected(credentialsOf(mallory), credentialsOf(bob));
    // bob's own announcement, passed on, is not certified by the key that alice sees.
    assert.throws(() => endOf('c', towardsAlice, alice, bob), isBadHandshake);
    const client = endOf('c', towardsAlice, alice, mallory);
    const server = endOf('s', towardsBob, bob, mallory);
    await assert.rejects(server.finish(client.sent, server.sent), isBadHandshake);
  });

  it('TLS lets weak and dated keys in, and checkCertificate does not', async () => {
    const pem = (der: Buffer): string =>
      `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    for (const modulusLength of [1024, 2048, 4096]) {
      const pair = generateKeyPairSync('rsa', { modulusLength });
      const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
      const cert = pem(certificateAround(pair.publicKey.export({ type: 'spki', format: 'der' })));
      await using connection = await connected({ key, cert }, credentialsOf(bob), {
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      assert.throws(() => connection.peerOf('s'), isBadHandshake, `${modulusLength}`);
      assert.equal(connection.peerOf('c').fingerprint, bob.fingerprint);
    }
    const key = alice.signingKey.export({ type: 'pkcs8', format: 'pem' });
    const expired = pem(certificateAround(alice.signingSpki, 'expired'));
    await using connection = await connected({ key, cert: expired }, credentialsOf(bob));
    assert.equal(connection.peerOf('s').fingerprint, alice.fingerprint);
  });
});
