import * as exchange from '../../src/crypto/exchange.ts';
import { fixed, hexOf, VectorFile } from './frozen.ts';

/** Lane proofs of one session: `presented` in mustFail is what the other side must refuse at that place. */
export function writeLaneVectors(keys: exchange.SessionKeys): void {
  const xl = exchange.laneExporter(fixed('lane exporter'));
  const proofs = (exporter: exchange.LaneExporter, number: number) => ({
    proofC: exchange.laneProof('c', keys, exporter, keys.id, number),
    proofS: exchange.laneProof('s', keys, exporter, keys.id, number),
  });
  const good = (number: number) => ({ exporter: xl.toString('hex'), number, ...hexOf(proofs(xl, number)) });
  const other = exchange.laneExporter(fixed('another lane exporter'));
  const bad = (presented: Uint8Array) => ({
    role: 'c',
    exporter: xl.toString('hex'),
    number: 1,
    ...hexOf({ presented }),
  });
  new VectorFile('lane.json').write({
    about: 'Lane proofs of the session "alice dials bob" of session.json. Bytes in hexadecimal.',
    ...hexOf({ id: keys.id, laneC: keys.laneC, laneS: keys.laneS }),
    cases: {
      'number 0': good(0),
      'number 1': good(1),
      'number 256': good(256),
      'the largest number': good(0xffffffff),
    },
    mustFail: {
      "the listener's own proof sent back": bad(proofs(xl, 1).proofS),
      'the proof of another number': bad(proofs(xl, 2).proofC),
      'the proof of another connection': bad(proofs(other, 1).proofC),
      'a byte missing': bad(proofs(xl, 1).proofC.subarray(1)),
      'a byte more': bad(Buffer.concat([proofs(xl, 1).proofC, Buffer.alloc(1)])),
      empty: bad(Buffer.alloc(0)),
      zeros: bad(Buffer.alloc(32)),
    },
  });
}
