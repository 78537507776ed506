/** Where the server of a home is spoken to by others of the same user: a socket that is a file, or a named pipe on Windows. */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, realpathSync, rmSync } from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { errorOf, systemCode } from '../../errors.ts';
import { ensurePrivateFolder, type Home, unusable } from '../../store/home.ts';

/** Bytes that the name of a socket may have anywhere: macOS has room for 104, Linux for 108, with the zero at the end. */
const MOST_BYTES = 103;

/**
 * The socket of a home. A home whose path is too long for one has it in a folder of this user below /tmp, named after the
 * home; not in that of `TMPDIR`, which may be another in the next terminal.
 */
export function socketPath(
  { data }: Pick<Home, 'data'>,
  platform: NodeJS.Platform = process.platform,
): string {
  const real = realPath(data);
  const hash = createHash('sha256').update(real).digest('hex').slice(0, 32);
  if (platform === 'win32') return `\\\\.\\pipe\\localstream-${hash}`;
  const path = join(real, 'server.sock');
  if (Buffer.byteLength(path) <= MOST_BYTES) return path;
  return `/tmp/localstream-${process.getuid?.() ?? 0}/${hash}.sock`;
}

/** A home that is reached by another way has the same server. */
function realPath(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    // Not made yet: nobody serves it.
    return folder;
  }
}

/** Opens the socket to this user alone. The lock of the home must be held: what is there is of a process that died. */
export async function listenAt(server: Server, path: string): Promise<void> {
  const isFile = process.platform !== 'win32';
  try {
    if (isFile) {
      ensurePrivateFolder(dirname(path));
      // The folder could be a link of somebody else's, to a folder of ours.
      if (!isOurs(dirname(path))) throw unusable(dirname(path), undefined, 'it is a link');
      rmSync(path, { force: true });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen(path, resolve);
    await promise;
    server.off('error', reject);
    if (isFile) chmodSync(path, 0o600);
  } catch (error) {
    throw systemCode(error) === 'STATE' ? error : unusable(path, error);
  }
}

/** Connects to the server of a home; undefined where none is running. Throws STATE where it can't be spoken to. */
export async function dialServer(home: Pick<Home, 'data'>): Promise<Socket | undefined> {
  const path = socketPath(home);
  // What somebody else has put there is not spoken to.
  if (process.platform !== 'win32' && !isOurs(dirname(path))) return undefined;
  const socket = connect(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('connect', resolve).once('error', reject);
  try {
    await promise;
    socket.off('error', reject);
    return socket;
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw errorOf('STATE', `the server of this home can't be reached at ${path}`, { cause: error });
  }
}

/** Whether it is a folder of this user that no other may enter. */
function isOurs(folder: string): boolean {
  try {
    const stats = lstatSync(folder);
    return stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0;
  } catch {
    // Nothing is there, or a file is on the way to it: who opens the home says which.
    return false;
  }
}
