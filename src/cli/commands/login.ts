/** login, kick: users on connections that are open. */
import { errorOf } from '../../errors.ts';
import type { Listener, PeerInfo } from '../../index.ts';
import { defineCommand, required } from '../command.ts';
import { LOGIN_NOTE, loginPassword } from '../password.ts';
import { plainAddress } from '../peer-address.ts';
import { peerDetail, peerText, shownName } from '../peer-text.ts';
import { text } from '../values.ts';

export const login = defineCommand({
  name: 'login',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'log in as a user of the connected server',
  notes: [LOGIN_NOTE, 'Outside the shell the user is named before the host: alice@nas.'],
  arguments: { user: required('the name of the user there', text) },
  options: {},
  examples: [{ line: 'login alice', does: 'asks for the password' }],
  run: async (context, { arguments: { user } }) => {
    const { workspace, output } = context;
    const session = workspace.connected();
    const name = await session.login(user, () => loginPassword(context, shownName(user), false));
    const { peer } = session;
    output.result(
      { event: 'login', user: name, peer: peerDetail(peer) },
      `logged in at ${peerText(peer)} as ${shownName(name)}`,
    );
  },
});

export const kick = defineCommand({
  name: 'kick',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'needed', shell: true },
  summary: 'end the connections of a peer or user, transfers included',
  notes: ['Who may in can come again: user disable and the end of trust keep somebody out.'],
  arguments: { peer: required('its name, user, address, fingerprint or session id', text, 'peer') },
  options: {},
  examples: [{ line: 'kick alice', does: 'ends all connections of alice here' }],
  run: async ({ workspace, output }, { arguments: { peer: wanted } }) => {
    const all = (workspace.opened?.listeners ?? []).flatMap((listener) =>
      listener.peers.map((peer) => ({ listener, peer })),
    );
    const found = all.filter(({ peer }) => isMeant(peer, wanted));
    if (found.length === 0) {
      throw errorOf('NOT_CONNECTED', `nobody called '${shownName(wanted)}' is connected here`, {
        hint: 'status shows who is',
      });
    }
    // A stranger may call itself as it likes: nobody else must be thrown out for it.
    const keys = new Set(found.map(({ peer }) => peer.fingerprint));
    if (keys.size > 1 && !found.every(({ peer }) => peer.user === wanted)) {
      throw errorOf('USAGE', `${found.length} peers are meant by '${shownName(wanted)}'`, {
        hint: `write the fingerprint: ${[...keys].slice(0, 2).join(' or ')}`,
      });
    }
    for (const { listener, peer } of found) await end(listener, peer);
    output.result(
      { event: 'kicked', peers: found.map(({ peer }) => peerDetail(peer)) },
      found.map(({ peer }) => `ended the connection of ${peerText(peer)}`).join('\n'),
    );
  },
});

function isMeant({ id, name, user, fingerprint, address }: PeerInfo, wanted: string): boolean {
  return [id, name, user, fingerprint, plainAddress(address)].includes(wanted);
}

async function end(listener: Listener, { id }: PeerInfo): Promise<void> {
  await listener.kick(id);
}
