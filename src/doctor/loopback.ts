/** A transfer from this machine to itself, with keys and folders of its own: what the machine can do at the most. */
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLocalstream } from '../localstream.ts';
import { type Finding, fixOf, reasonOf, type Surroundings } from './finding.ts';

const MEBIBYTE = 1024 * 1024;
const MOST_BYTES = 64 * MEBIBYTE;
const LEAST_BYTES = MEBIBYTE;
const LONGEST = 30_000;

export async function loopback({ settings, isValid, signal }: Surroundings): Promise<readonly Finding[]> {
  if (!isValid) return [{ id: 'loopback', grade: 'unknown', text: 'not tried: the settings are wrong' }];
  const folder = await mkdtemp(join(tmpdir(), 'localstream-doctor-'));
  try {
    const { bavail, bsize } = await statfs(folder);
    const room = bavail * bsize - settings.freeSpaceReserve;
    // The file is there twice.
    const bytes = Math.min(MOST_BYTES, Math.floor(room / 2 / MEBIBYTE) * MEBIBYTE);
    if (bytes < LEAST_BYTES) {
      return [{ id: 'loopback', grade: 'unknown', text: `not tried: there is no room in ${tmpdir()}` }];
    }
    return [await cross(folder, bytes, AbortSignal.any([signal, AbortSignal.timeout(LONGEST)]))];
  } catch (error) {
    signal.throwIfAborted();
    return [
      { id: 'loopback', grade: 'problem', text: `no file crosses: ${reasonOf(error)}`, ...fixOf(error) },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function cross(folder: string, bytes: number, signal: AbortSignal): Promise<Finding> {
  const share = join(folder, 'share');
  await mkdir(share);
  await fill(join(share, 'file'), bytes);
  await using localstream = await openLocalstream({
    home: join(folder, 'home'),
    flags: { limit: null, 'auth.url': null, freeSpaceReserve: 0 },
  });
  await using listener = await localstream.listen({
    host: '127.0.0.1',
    port: 0,
    auth: 'none',
    shares: [{ folder: share }],
  });
  await using session = await localstream.connect({
    host: '127.0.0.1',
    port: listener.port,
    acceptNew: true,
    signal,
  });
  const receipt = await session.get(['/share/file'], join(folder, 'copy'), { signal, retryFor: 0 });
  const bytesPerSecond = Math.round(bytes / receipt.seconds);
  const text = `${bytes / MEBIBYTE} MiB crossed at ${(bytesPerSecond / 1e6).toFixed(0)} MB/s, and arrived whole`;
  return { id: 'loopback', grade: 'ok', text, bytesPerSecond };
}

async function fill(path: string, bytes: number): Promise<void> {
  const piece = randomFillSync(Buffer.alloc(MEBIBYTE));
  await using file = await open(path, 'wx', 0o600);
  for (let at = 0; at < bytes; at += piece.length)
    await file.write(piece, 0, Math.min(piece.length, bytes - at));
}
