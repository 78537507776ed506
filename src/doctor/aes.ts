/** How fast one core seals. */
import { createCipheriv, randomBytes } from 'node:crypto';
import type { Finding } from './finding.ts';

/** Long enough for the calls themselves to count for little. */
const PIECE_BYTES = 262_144;
/** Of processor time, which other programs do not take away. */
const MICROSECONDS = 200_000;
/** Without the processor's own instructions it is a tenth of what is usual. */
const SLOW = 300e6;

export async function aesSpeed(): Promise<readonly Finding[]> {
  const piece = Buffer.alloc(PIECE_BYTES);
  const key = randomBytes(32);
  const before = process.cpuUsage();
  let pieces = 0;
  let elapsed = 0;
  while (elapsed < MICROSECONDS) {
    for (let turn = 0; turn < 16; turn += 1) {
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
      cipher.update(piece);
      cipher.final();
      cipher.getAuthTag();
    }
    pieces += 16;
    const { user, system } = process.cpuUsage(before);
    elapsed = user + system;
  }
  const bytesPerSecond = Math.round((pieces * PIECE_BYTES * 1e6) / elapsed);
  const rate = `${(bytesPerSecond / 1e6).toFixed(0)} MB/s on one core`;
  return [
    bytesPerSecond < SLOW
      ? {
          id: 'aes',
          grade: 'warning',
          text: `AES-256-GCM: ${rate}, which bounds every transfer`,
          fix: 'the processor has no AES instructions, or a virtual machine hides them: let it pass them on',
          bytesPerSecond,
        }
      : { id: 'aes', grade: 'ok', text: `AES-256-GCM: ${rate}`, bytesPerSecond },
  ];
}
