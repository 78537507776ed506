/** Whether Node and its OpenSSL can do what is asked of them. */
import { createSecureContext } from 'node:tls';
import type { Finding } from './finding.ts';

const LEAST_NODE = 24;
/** The group that a recorded connection is safe behind once somebody has a quantum computer. */
const GROUP = 'X25519MLKEM768';

export async function node(): Promise<readonly Finding[]> {
  const { node: version, openssl } = process.versions;
  const text = `Node ${version} with OpenSSL ${openssl}`;
  if (Number.parseInt(version, 10) < LEAST_NODE) {
    return [{ id: 'node', grade: 'problem', text, fix: `install Node ${LEAST_NODE} or later` }];
  }
  if (!hasGroup()) {
    return [
      {
        id: 'node',
        grade: 'warning',
        text: `${text}, which does not know ${GROUP}: keys are agreed on by X25519 alone`,
        fix: 'install a Node that has OpenSSL 3.5 or later',
      },
    ];
  }
  return [{ id: 'node', grade: 'ok', text }];
}

function hasGroup(): boolean {
  try {
    createSecureContext({ ecdhCurve: GROUP });
    return true;
  } catch {
    return false;
  }
}
