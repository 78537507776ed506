/** peers, forget, rename, export, import: whom this machine trusts. */
import { isFingerprint, parseFingerprint } from '../../crypto/fingerprint.ts';
import { errorOf } from '../../errors.ts';
import type { Fingerprint, Localstream, Sibling, TrustedPeer } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, optional, required, several } from '../command.ts';
import { peerDetail, peerName, shownName } from '../peer-text.ts';
import { rightsText } from '../rights-argument.ts';
import { formatTime } from '../units.ts';
import { text } from '../values.ts';

const WHO = 'its name here, or its fingerprint';

/** How a key came to be trusted, in words. */
const REASONS: Record<TrustedPeer['how'], string> = {
  'accept-new': 'unverified',
  operator: 'let in here',
  confirmed: 'confirmed',
  fingerprint: 'fingerprint',
  manual: 'by hand',
  paired: 'paired',
};

/** The trusted peer that a person names. Throws USAGE: a slip of the pen here, nothing that the other side could mend. */
export async function findPeer({ trust }: Localstream, who: string): Promise<TrustedPeer> {
  const peer = who.startsWith('SHA256:') ? await trust.get(parseFingerprint(who)) : await trust.byName(who);
  if (peer !== undefined) return peer;
  throw errorOf('USAGE', `no trusted peer is '${escapeText(who, 60)}'`, { hint: 'peers lists them' });
}

/** The keys of peers that are named `PEER[,PEER]`, once or several times. Throws as {@link findPeer}. */
export async function findReaders(
  localstream: Localstream,
  named: readonly string[],
): Promise<Fingerprint[]> {
  const names = named.flatMap((who) => who.split(',')).filter((who) => who !== '');
  const found = await Promise.all(names.map((who) => findPeer(localstream, who)));
  return found.map(({ fingerprint }) => fingerprint);
}

/** A server that is not trusted itself, but was named by one that is; by its fingerprint alone, since names are claims. */
async function findNamed({ trust }: Localstream, who: string): Promise<Sibling | undefined> {
  if (!isFingerprint(who) || (await trust.get(who)) !== undefined) return undefined;
  const naming = await trust.namedBy(who);
  return naming?.siblings?.find(({ fingerprint }) => fingerprint === who);
}

export const peers = defineCommand({
  name: 'peers',
  aliases: [],
  group: 'trust',
  scope: 'both',
  server: { once: 'preferred', shell: true },
  summary: 'whose keys are trusted here, and who is connected',
  notes: [
    'Unverified are those that --accept-new has pinned unseen. Rights are shown where they are fewer than the modes of the shares allow.',
    'Connected are those on the listeners of the shell, or of the server of this home.',
    'Below a server stand those that it has named at a login: they may take its place when it is gone, and are not trusted otherwise.',
  ],
  arguments: {},
  options: {},
  examples: [
    { line: 'peers', does: 'lists names, how they came to be trusted, and when they were last seen' },
  ],
  run: async ({ workspace, output }) => {
    const { trust, listeners } = await workspace.localstream();
    const list = await trust.list();
    const connected = listeners.flatMap(({ port, peers: here }) => here.map((peer) => ({ port, peer })));
    const isHere = (key: Fingerprint) => connected.some(({ peer }) => peer.fingerprint === key);
    const strangers = connected.filter(
      ({ peer }) => !list.some((known) => known.fingerprint === peer.fingerprint),
    );
    if (output.json) {
      for (const { port, peer } of strangers)
        output.event({
          event: 'peer',
          change: 'connected',
          listener: port,
          peer: peerDetail(peer),
          code: null,
        });
      for (const { name, fingerprint, how, rights, since, lastSeen, addresses, siblings = [] } of list)
        output.event({
          event: 'trust',
          name,
          fingerprint,
          how,
          since: since.toISOString(),
          lastSeen: lastSeen?.toISOString() ?? null,
          addresses: [...addresses],
          rights: rights === 'all' ? rights : rights.map((row) => ({ ...row })),
          connected: isHere(fingerprint),
          siblings: siblings.map((sibling) => ({ ...sibling, addresses: [...sibling.addresses] })),
        });
      return;
    }
    if (list.length === 0 && strangers.length === 0) {
      output.note('nobody is trusted yet: pair and trust do that');
      return;
    }
    const lines = await alignColumns([
      ...list.flatMap(({ name, how, lastSeen, rights, fingerprint, siblings = [] }) => [
        [
          shownName(name),
          REASONS[how],
          isHere(fingerprint) ? 'connected' : lastSeen === null ? 'never seen' : formatTime(lastSeen),
          fingerprint,
          rights === 'all' ? '' : rightsText(rights),
        ],
        ...siblings.map((sibling) => [
          `  ${shownName(sibling.name)}`,
          `named by ${shownName(name)}`,
          '',
          sibling.fingerprint,
          escapeText(sibling.addresses.join(' ')),
        ]),
      ]),
      ...strangers.map(({ peer }) => [peerName(peer), 'not trusted', 'connected', peer.fingerprint]),
    ]);
    output.screen.out(`${lines.join('\n')}\n`);
  },
});

export const forget = defineCommand({
  name: 'forget',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'trust a peer no more',
  notes: [
    'It is a stranger from then on. A session with it ends at once, with what is running, also where another process of this home has it.',
    'A server that another one has named is forgotten by its fingerprint, and does not come back by that word.',
  ],
  arguments: { peer: required(WHO, text, 'peer') },
  options: {},
  examples: [{ line: 'forget alice', does: 'takes the trust back' }],
  run: async ({ workspace, output }, { arguments: { peer: who } }) => {
    const localstream = await workspace.localstream();
    const { name, fingerprint } = (await findNamed(localstream, who)) ?? (await findPeer(localstream, who));
    await localstream.trust.forget(fingerprint);
    output.result({ event: 'forgotten', name, fingerprint }, `forgotten: ${shownName(name)}, ${fingerprint}`);
  },
});

export const rename = defineCommand({
  name: 'rename',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'give a trusted peer another name here',
  notes: ['Where somebody else has the name, a number is added.'],
  arguments: { peer: required(WHO, text, 'peer'), name: required('the name it is to have here', text) },
  options: {},
  examples: [{ line: 'rename alice alice-laptop', does: 'calls that key alice-laptop from now on' }],
  run: async ({ workspace, output }, { arguments: { peer: who, name: wanted } }) => {
    const localstream = await workspace.localstream();
    const { fingerprint } = await findPeer(localstream, who);
    const { name } = await localstream.trust.rename(fingerprint, wanted);
    output.result({ event: 'trusted', name, fingerprint }, `renamed: ${shownName(name)}, ${fingerprint}`);
  },
});

export const exportPeer = defineCommand({
  name: 'export',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'print this machine, or a trusted peer, as one line that import takes',
  notes: ['The line holds no secret; but who can change it on its way can put another key into it.'],
  arguments: { peer: optional(`a trusted peer: ${WHO}`, text, 'peer') },
  options: {},
  examples: [
    { line: 'export', does: 'prints what others import to trust this machine' },
    { line: 'export alice', does: 'prints the line of a peer' },
  ],
  run: async ({ workspace, output }, { arguments: { peer: who } }) => {
    const localstream = await workspace.localstream();
    const { name, fingerprint } = who === undefined ? localstream : await findPeer(localstream, who);
    const line = `${fingerprint} ${shownName(name)}`;
    output.result({ event: 'export', name, fingerprint, line }, line);
  },
});

export const importPeer = defineCommand({
  name: 'import',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'trust the key of a line that export has printed',
  notes: ['The words may stand in quotes or not. A key that is trusted already gets the name of the line.'],
  arguments: { line: several('the line', text) },
  options: {},
  examples: [
    {
      line: 'import SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM alice',
      does: 'lets in who has that key, and calls it alice',
    },
  ],
  run: async ({ workspace, output }, { arguments: { line } }) => {
    const [key = '', ...words] = line.join(' ').trim().split(/\s+/);
    if (!isFingerprint(key))
      throw errorOf('USAGE', 'the line does not begin with a fingerprint', {
        hint: 'paste what export has printed',
      });
    const { trust } = await workspace.localstream();
    const { name, fingerprint } = await trust.trust({
      fingerprint: key,
      how: 'manual',
      ...(words.length === 0 ? {} : { name: words.join(' ') }),
    });
    output.result({ event: 'trusted', name, fingerprint }, `trusted: ${shownName(name)}, ${fingerprint}`);
  },
});
