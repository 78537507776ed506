/** Where passwords come from: a question without echo, a file, standard input. Never from the command line, where everybody can read them. */
import { readFile } from 'node:fs/promises';
import { MOST_PASSWORD_BYTES } from '../crypto/passwords.ts';
import { errorOf } from '../errors.ts';
import { fileError } from '../transfer/system-error.ts';
import type { Context } from './context.ts';

/** The variable that names a file with the password of a login. */
const FILE_VARIABLE = 'LOCALSTREAM_PASSWORD_FILE';

/** Told wherever a user can log in. */
export const LOGIN_NOTE =
  'The password of a user is asked for without echo, or comes from the file that LOCALSTREAM_PASSWORD_FILE names, or ' +
  'with --password-stdin from standard input. It goes to no server whose key --accept-new has just taken.';

/** The password of a user who logs in. Throws USAGE where there is none and nobody can be asked. */
export async function loginPassword(context: Context, name: string, isOnStdin: boolean): Promise<string> {
  if (isOnStdin) return await stdinPassword(context);
  const file = process.env[FILE_VARIABLE];
  if (file) return oneLine(await readPasswordFile(file));
  const { asker, signal } = context;
  if (asker.password) return await asker.password(`Password of ${name}:`, signal);
  throw errorOf('USAGE', 'a password is needed, and nobody can be asked', {
    hint: `name a file in ${FILE_VARIABLE}, or add --password-stdin`,
  });
}

/** A new password, asked for twice. Throws USAGE where the two differ or nobody can be asked. */
export async function newPassword(context: Context, name: string, isOnStdin: boolean): Promise<string> {
  if (isOnStdin) return await stdinPassword(context);
  const { asker, signal } = context;
  if (!asker.password) {
    throw errorOf('USAGE', 'a password is needed, and nobody can be asked', { hint: 'add --password-stdin' });
  }
  const first = await asker.password(`New password of ${name}:`, signal);
  if (first === (await asker.password('Again:', signal))) return first;
  throw errorOf('USAGE', 'the two passwords differ', { hint: 'try again' });
}

async function stdinPassword({ shell }: Context): Promise<string> {
  if (shell !== undefined) {
    throw errorOf('USAGE', '--password-stdin does not work in the shell, which reads standard input itself', {
      hint: 'leave it out',
    });
  }
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of process.stdin) {
    pieces.push(Buffer.from(piece));
    length += pieces.at(-1)?.length ?? 0;
    // A line end may follow.
    if (length > MOST_PASSWORD_BYTES + 2) break;
  }
  return oneLine(Buffer.concat(pieces).toString('utf8'));
}

async function readPasswordFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const error = fileError(cause, 'read', path);
    const reason = error instanceof Error ? error.message : String(error);
    throw errorOf('USAGE', `${FILE_VARIABLE} is of no use: ${reason}`, { cause });
  }
}

/** Editors, echo and secret mounts leave one line end behind. */
function oneLine(text: string): string {
  const line = text.replace(/\r?\n$/, '');
  if (line !== '') return line;
  throw errorOf('USAGE', 'the password is empty', { hint: 'check where it comes from' });
}
