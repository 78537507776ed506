import type { Progress } from '../../src/index.ts';

/** A report of a transfer in full swing, but for what is given. */
export function progressOf(given: Partial<Progress> = {}): Progress {
  return {
    transferId: '0123456789abcdef0123456789abcdef',
    peer: 'nas',
    direction: 'receive',
    phase: 'moving',
    files: 0,
    filesTotal: 1,
    bytes: 1_200_000_000,
    bytesTotal: 2_860_000_000,
    totalsKnown: true,
    current: 'docs/report.pdf',
    bytesSkipped: 0,
    ...given,
  };
}
