/** Whether the port can be opened, and who has it where it can't. */

import { createServer } from 'node:net';
import { probe } from '../client/probe.ts';
import { errorOf, systemCode } from '../errors.ts';
import { loadIdentity } from '../store/identity-store.ts';
import { type Finding, reasonOf, type Surroundings } from './finding.ts';

const PATIENCE = 2000;

export async function port(surroundings: Surroundings): Promise<readonly Finding[]> {
  const { port: number } = surroundings.settings;
  const subject = String(number);
  try {
    await openOnce(number);
    return [{ id: 'port', subject, grade: 'ok', text: `port ${number} can be opened` }];
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES' || code === 'EPERM') {
      return [
        {
          id: 'port',
          subject,
          grade: 'problem',
          text: `port ${number} may not be opened by this user`,
          fix: 'localstream config set port N, with N above 1023',
        },
      ];
    }
    if (code !== 'EADDRINUSE') {
      return [{ id: 'port', subject, grade: 'problem', text: `port ${number}: ${reasonOf(error)}` }];
    }
    return [await holder(number, surroundings)];
  }
}

/** Whoever has the port: ourselves, which is as it should be, or another. */
async function holder(number: number, { home, signal }: Surroundings): Promise<Finding> {
  const place = { id: 'port', subject: String(number) } as const;
  const fix = `close what has it, or choose another: localstream config set port N`;
  try {
    const { fingerprint } = await probe({ host: '127.0.0.1', port: number }, PATIENCE, signal);
    const own = await ownFingerprint(home);
    if (fingerprint === own) {
      return { ...place, grade: 'ok', text: `port ${number} is open: a listener of this home has it` };
    }
    const text = `port ${number} is in use by a localstream of another home or user (${fingerprint})`;
    return { ...place, grade: 'warning', text, fix };
  } catch {
    signal.throwIfAborted();
    return { ...place, grade: 'problem', text: `port ${number} is in use by another program`, fix };
  }
}

async function ownFingerprint(home: Surroundings['home']): Promise<string> {
  const { fingerprint } = await loadIdentity(home).catch(() => {
    throw errorOf('STATE');
  });
  return fingerprint;
}

async function openOnce(number: number): Promise<void> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ port: number }, resolve);
  await promise;
  await new Promise((done) => server.close(done));
}
