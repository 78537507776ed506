/** What the commands that reach a server share. */
import { parseFingerprint } from '../../crypto/fingerprint.ts';
import { errorOf } from '../../errors.ts';
import type { ConnectOptions, Session } from '../../index.ts';
import { flag, option } from '../command.ts';
import type { Context } from '../context.ts';
import { LOGIN_NOTE, loginPassword } from '../password.ts';
import { looksRemote, type PeerAddress, parseRemotePath } from '../peer-address.ts';
import { channelText, peerText, questionEvent, shownCheckNumber, shownName } from '../peer-text.ts';
import { dialWays, waysTo } from '../reach.ts';
import { resolveRemote } from '../remote-folder.ts';
import { text } from '../values.ts';

/** How an unknown server is dealt with. */
export const REACH_OPTIONS = {
  acceptNew: flag('pin an unknown key unseen; a changed one is refused all the same'),
  fingerprint: option('SHA256:...', 'the key that the server must have; it is pinned', parseFingerprint),
  user: option('NAME', 'log in as this user, as NAME@HOST does', text),
  passwordStdin: flag('the password of the user comes from standard input'),
} as const;

/** Told wherever an unknown server can answer. */
export const TRUST_NOTE =
  'The key of an unknown server is asked about in a terminal, and refused without one unless --accept-new or ' +
  `--fingerprint says otherwise. A known server with another key is always refused. ${LOGIN_NOTE}`;

/** What {@link REACH_OPTIONS} were given. */
export interface Reach {
  readonly acceptNew: boolean;
  readonly fingerprint: ConnectOptions['fingerprint'];
  readonly user?: string | undefined;
  readonly passwordStdin?: boolean;
}

/** Connects to a server. */
export async function dial(context: Context, peer: PeerAddress, reach: Reach): Promise<Session> {
  const user = userOf(peer, reach);
  const { output, signal, workspace, asker } = context;
  const localstream = await workspace.localstream();
  const known = reach.acceptNew ? await localstream.trust.list() : [];
  const ways = await waysTo(localstream, { host: peer.host, port: peer.port }, signal);
  const session = await dialWays(ways, ({ host, port }) =>
    localstream.connect({
      host,
      ...(port === undefined ? {} : { port }),
      ...(reach.fingerprint === undefined ? {} : { fingerprint: reach.fingerprint }),
      ...(ways.fingerprint === undefined ? {} : { pinned: ways.fingerprint }),
      acceptNew: reach.acceptNew,
      ...(asker.server === undefined ? {} : { decide: asker.server }),
      signal,
      onWaiting: (question) => {
        const name = shownName(question.claimedName);
        const digits = shownCheckNumber(question.checkNumber);
        output.note(
          `check number ${digits}, the same as there: waiting for somebody at "${name}" to let this machine in`,
          questionEvent(question, 'there', null),
        );
      },
    }),
  );
  const { fingerprint } = session.peer;
  output.detail(`  ${peerText(session.peer)}: ${channelText(session.peer)}`);
  if (reach.acceptNew && !known.some((trusted) => trusted.fingerprint === fingerprint)) {
    output.note(`pinned ${fingerprint} of ${peerText(session.peer)}, unverified`);
  }
  if (user === undefined) return session;
  try {
    const isOnStdin = reach.passwordStdin ?? false;
    await session.login(user, () => loginPassword(context, shownName(user), isOnStdin));
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Who is to log in. Throws USAGE for two of them, or for a password of nobody. */
function userOf(peer: PeerAddress, reach: Reach): string | undefined {
  const { user = peer.user, passwordStdin } = reach;
  if (peer.user !== undefined && peer.user !== user) {
    throw errorOf('USAGE', 'two users are named', { hint: 'write USER@HOST or --user USER' });
  }
  if (user === '') throw errorOf('USAGE', 'the name of the user is empty', { hint: 'write USER@HOST' });
  if (passwordStdin && user === undefined) {
    throw errorOf('USAGE', '--password-stdin is of use with a user only', { hint: 'write USER@HOST' });
  }
  return user;
}

/** Works on the server that is named, connected for this command only, or else on the one that the shell is connected to. */
export async function withSession<Result>(
  context: Context,
  peer: PeerAddress | undefined,
  reach: Reach,
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  if (peer === undefined) return use(context.workspace.connected());
  await using session = await dial(context, peer, reach);
  return await use(session);
}

/** A path on a server; no peer means the one that the shell is connected to. */
export interface Place {
  readonly peer: PeerAddress | undefined;
  readonly path: string;
}

/**
 * Where a remote path is: on the peer of `--from` or `--to`, on the peer that it names itself, or on the connected one.
 * @throws USAGE where no peer is named and none can be connected.
 */
export function placeOf(context: Context, text: string | undefined, peer: PeerAddress | undefined): Place {
  if (peer !== undefined) return { peer, path: rooted(text) };
  if (text !== undefined && looksRemote(text)) return parseRemotePath(text);
  if (context.shell !== undefined) {
    return { peer: undefined, path: resolveRemote(context.workspace.folder, text ?? '') };
  }
  if (text !== undefined) return parseRemotePath(text);
  throw errorOf('USAGE', 'no peer is named', { hint: 'write PEER:/SHARE/PATH, for example nas:/docs' });
}

/** The one peer on which all places of a command are. Throws USAGE where they are on several. */
export function onePeer(places: readonly Place[]): Place['peer'] {
  const [first] = places;
  const same = (peer: Place['peer']) =>
    peer?.host === first?.peer?.host && peer?.port === first?.peer?.port && peer?.user === first?.peer?.user;
  if (places.every(({ peer }) => same(peer))) return first?.peer;
  throw errorOf('USAGE', 'the paths are on different servers', {
    hint: 'write one command for each server',
  });
}

function rooted(path: string | undefined): string {
  if (path === undefined || path === '') return '/';
  return path.startsWith('/') ? path : `/${path}`;
}
