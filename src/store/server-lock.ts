/**
 * One server a home. The lock is the system's own on a file, by way of SQLite: it goes with the process, however that ends,
 * so that none is ever left behind and none that is held is ever taken.
 */
import { chmodSync } from 'node:fs';
import { errorOf } from '../errors.ts';
import { ensurePrivateFolder, type Home, unusable } from './home.ts';

const SQLITE_BUSY = 5;

/** Takes the lock, until the result is disposed of. Throws SERVER_RUNNING, STATE. */
export async function holdServerLock(home: Home): Promise<Disposable> {
  const { DatabaseSync } = await import('node:sqlite');
  ensurePrivateFolder(home.data);
  let database: InstanceType<typeof DatabaseSync> | undefined;
  try {
    database = new DatabaseSync(home.serverLock, { timeout: 0 });
    // First: the journal beside it gets the mode that it has then.
    if (process.platform !== 'win32') chmodSync(home.serverLock, 0o600);
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const isHeld = error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
    if (!isHeld) throw unusable(home.serverLock, error);
    throw errorOf('SERVER_RUNNING', 'a server of this home is running already', {
      hint: 'status shows it, add_connection gives it another port, shutdown ends it',
    });
  }
  const held = database;
  return { [Symbol.dispose]: () => held.close() };
}
