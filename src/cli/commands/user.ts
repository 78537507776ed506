/** user: who may log in, and what they may do. */
import { checkUserName, EVERYONE, type UserName } from '../../auth/user-name.ts';
import { RIGHTS, type Right } from '../../auth/user-store.ts';
import { errorOf } from '../../errors.ts';
import type { Grant, User, UserStore } from '../../index.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import { newPassword } from '../password.ts';
import { shownName } from '../peer-text.ts';
import { formatTime } from '../units.ts';
import { oneOf, text } from '../values.ts';

const ACTIONS = ['add', 'passwd', 'disable', 'enable', 'remove', 'list', 'grant', 'revoke'] as const;

/** What became of a user, for people. */
const DONE = {
  add: 'added',
  passwd: 'has a new password',
  disable: 'disabled: may not log in, and is out where it was in',
  enable: 'enabled',
  remove: 'removed, with its rights',
  grant: 'granted',
  revoke: 'revoked',
} as const;

/** Reads `read,write,list`. Throws USAGE. */
function parseRights(typed: string): readonly Right[] {
  return [...new Set(typed.split(',').map((word) => oneOf('a right', RIGHTS)(word)))];
}

export const user = defineCommand({
  name: 'user',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'the users who may log in, and their rights',
  notes: [
    'ACTION is add, passwd, disable, enable, remove or list with a NAME; grant or revoke with NAME, SHARE and RIGHTS, ' +
      'which are of read, write and list with commas between. For NAME, * stands for all users.',
    'Who was just added may do nothing. What is revoked from a user stays denied, whatever * has.',
    'Users are in the file users.db of the home, or in the database of the setting auth.url.',
  ],
  arguments: {
    action: required(ACTIONS.join(', '), oneOf('an action', ACTIONS), ACTIONS),
    name: optional('the user', text),
    share: optional('for grant and revoke: the name of the share', text),
    rights: optional('for grant and revoke: read, write, list', parseRights),
  },
  options: { passwordStdin: flag('the password comes from standard input') },
  examples: [
    { line: 'user add alice', does: 'asks for her password, twice' },
    { line: 'user grant alice docs read,list', does: 'lets her see and fetch what is in docs' },
    { line: "user revoke '*' docs write", does: 'takes from all what they did not get by name' },
    { line: 'user disable alice', does: 'ends her sessions and transfers within seconds' },
  ],
  run: async (context, { arguments: { action, name, share, rights }, options: { passwordStdin } }) => {
    const isAboutRights = action === 'grant' || action === 'revoke';
    if (!isAboutRights && (share !== undefined || rights !== undefined)) {
      throw errorOf('USAGE', `user ${action} takes no share`, { hint: 'see "help user"' });
    }
    if (passwordStdin && action !== 'add' && action !== 'passwd') {
      throw errorOf('USAGE', `user ${action} takes no password`, { hint: 'leave out --password-stdin' });
    }
    const users = await (await context.workspace.localstream()).users();
    if (action === 'list')
      return await list(context, users, name === undefined ? undefined : checkUserName(name));
    if (name === undefined) throw missing(action, 'NAME');
    if (isAboutRights) {
      if (share === undefined || rights === undefined) throw missing(action, 'NAME SHARE RIGHTS');
      await users[action](name === EVERYONE ? EVERYONE : checkUserName(name), share, rights);
    } else {
      await change(context, users, action, checkUserName(name), passwordStdin);
    }
    const what = isAboutRights ? ` ${(rights ?? []).join(', ')} in ${shownName(share ?? '')}` : '';
    const who = name === EVERYONE ? 'all users' : shownName(name);
    context.output.result(
      { event: 'user_changed', action, name, share: share ?? null, rights: [...(rights ?? [])] },
      `${who}: ${DONE[action]}${what}`,
    );
  },
});

function missing(action: string, wanted: string): Error {
  return errorOf('USAGE', `user ${action} wants ${wanted}`, { hint: 'see "help user"' });
}

async function change(
  context: Context,
  users: UserStore,
  action: 'add' | 'passwd' | 'disable' | 'enable' | 'remove',
  name: UserName,
  isOnStdin: boolean,
): Promise<void> {
  switch (action) {
    case 'add':
    case 'passwd': {
      const isThere = (await users.find(name)) !== undefined;
      // Before anybody types a password in vain.
      if (isThere === (action === 'add')) {
        throw isThere
          ? errorOf('USER_EXISTS', `there is a user '${shownName(name)}' already`)
          : errorOf('NO_SUCH_USER', `there is no user '${shownName(name)}'`);
      }
      const { PasswordHasher } = await import('../../crypto/passwords.ts');
      const hash = await new PasswordHasher().hash(await newPassword(context, name, isOnStdin));
      await (action === 'add' ? users.add(name, hash) : users.setPassword(name, hash));
      return;
    }
    case 'disable':
    case 'enable':
      return await users.setDisabled(name, action === 'disable');
    case 'remove':
      return await users.remove(name);
  }
}

async function list(context: Context, users: UserStore, only: UserName | undefined): Promise<void> {
  const { output } = context;
  const grants = new Map<string, Grant[]>();
  for (const grant of await users.allGrants()) {
    grants.set(grant.user, [...(grants.get(grant.user) ?? []), grant]);
  }
  const rows: string[][] = [];
  const show = (name: string, one: User | undefined) => {
    const own = grants.get(name) ?? [];
    if (output.json) {
      output.event({
        event: 'user',
        name,
        disabled: one?.disabled ?? false,
        created: one?.created?.toISOString() ?? null,
        lastLogin: one?.lastLogin?.toISOString() ?? null,
        grants: own.map(({ share, right, allowed }) => ({ share, right, allowed })),
      });
    } else {
      const seen = one?.lastLogin === undefined ? 'never seen' : `seen ${formatTime(one.lastLogin)}`;
      const state = one === undefined ? ['', ''] : [one.disabled ? 'disabled' : 'enabled', seen];
      rows.push([name === EVERYONE ? '*' : shownName(name), ...state, rightsText(own)]);
    }
  };
  if (only === undefined) {
    if (grants.has(EVERYONE)) show(EVERYONE, undefined);
    for await (const one of users.list()) show(one.name, one);
  } else {
    const one = await users.find(only);
    if (one === undefined) throw errorOf('NO_SUCH_USER', `there is no user '${shownName(only)}'`);
    show(one.name, one);
  }
  for (const line of await alignColumns(rows)) output.screen.out(`${line.trimEnd()}\n`);
}

/** `docs: read, list, not write`. */
function rightsText(grants: readonly Grant[]): string {
  const shares = [...new Set(grants.map(({ share }) => share))];
  const of = (wanted: string) =>
    grants
      .filter(({ share }) => share === wanted)
      .toSorted((a, b) => Number(b.allowed) - Number(a.allowed))
      .map(({ right, allowed }) => (allowed ? right : `not ${right}`))
      .join(', ');
  return shares.map((share) => `${shownName(share)}: ${of(share)}`).join('; ');
}
