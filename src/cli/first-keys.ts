/** Has the keys of a new home made by another process: what that loads takes 10 MB, which a server would keep for good. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Home } from '../store/home.ts';
import type { Context } from './context.ts';

/** Does nothing where there are keys. Whatever goes wrong, opening the home says so afterwards. */
export async function makeKeysApart(home: Home, { globals, signal }: Context): Promise<void> {
  const [, launcher] = process.argv;
  if (launcher === undefined || existsSync(home.identityFile)) return;
  const words = [launcher, 'identity', ...(globals.home === undefined ? [] : ['--home', globals.home])];
  const child = spawn(process.execPath, words, { stdio: 'ignore', windowsHide: true, signal });
  await once(child, 'exit').catch(() => {});
  signal.throwIfAborted();
}
