/** trust, accept, reject: who may in. */
import { type Fingerprint, parseFingerprint } from '../../crypto/fingerprint.ts';
import { errorOf } from '../../errors.ts';
import type { Localstream } from '../../index.ts';
import { defineCommand, list, option, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import { runInServer } from '../dispatch.ts';
import { noServer } from '../no-server.ts';
import { shownName } from '../peer-text.ts';
import type { Matter } from '../pending.ts';
import { joinRights, parseRights, RIGHTS_NOTE, rightsText } from '../rights-argument.ts';
import { type Numbered, parseQuestion, path } from '../values.ts';
import { findPeer } from './peers.ts';
import { takeOffer } from './receive-file.ts';

/** Whom `trust` is about: a fingerprint, the number of a question, or the name of a peer. */
type Who =
  | { readonly fingerprint: Fingerprint }
  | { readonly question: Numbered }
  | { readonly peer: string };

function parseWho(typed: string): Who {
  if (/^s?\d+$/.test(typed)) return { question: parseQuestion(typed) };
  return typed.startsWith('SHA256:') ? { fingerprint: parseFingerprint(typed) } : { peer: path(typed) };
}

export const trust = defineCommand({
  name: 'trust',
  aliases: [],
  group: 'trust',
  scope: 'both',
  server: { once: 'preferred', shell: false },
  summary: 'let a peer in now and always',
  notes: [
    'With a fingerprint it works before the peer has ever come, also on a machine without a screen.',
    RIGHTS_NOTE,
  ],
  arguments: {
    who: required(
      'SHA256:..., the name of a peer that is trusted, or the number of a question, as accept has it',
      parseWho,
      'question',
    ),
  },
  options: {
    name: option('N', 'the name it is to have here', path),
    rights: list('RIGHTS', 'what it may do here; may be given again', parseRights),
  },
  examples: [
    {
      line: 'trust SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM --name alice',
      does: 'lets in who has that key',
    },
    { line: 'trust 1', does: 'answers question 1 for good' },
    {
      line: 'trust alice --rights docs=read,list --rights in=write',
      does: 'lets alice read docs, and drop into in',
    },
  ],
  run: async (context, { arguments: { who }, options: { name, rights: given } }) => {
    const { workspace, output } = context;
    if ('question' in who && isElsewhere(context, who.question)) return await runInServer(context);
    const matter = 'question' in who ? stranger(findMatter(context, who.question)) : undefined;
    const localstream = await workspace.localstream();
    const fingerprint = matter?.question.fingerprint ?? (await fingerprintOf(localstream, who));
    const rights = joinRights(given);
    const peer = await localstream.trust.trust({
      fingerprint,
      ...(rights !== undefined && { rights }),
      // By its name nobody has compared anything: what made it trusted stays.
      how: matter !== undefined ? 'operator' : 'peer' in who ? 'accept-new' : 'manual',
      ...(name === undefined && matter === undefined
        ? {}
        : { name: name ?? matter?.question.claimedName ?? '' }),
    });
    matter?.answer('trust');
    output.result(
      { event: 'trusted', name: peer.name, fingerprint },
      `trusted: ${shownName(peer.name)}, ${fingerprint}${peer.rights === 'all' ? '' : `, ${rightsText(peer.rights)}`}`,
    );
  },
});

async function fingerprintOf(localstream: Localstream, who: Who): Promise<Fingerprint> {
  if ('fingerprint' in who) return who.fingerprint;
  return (await findPeer(localstream, 'peer' in who ? who.peer : '')).fingerprint;
}

export const accept = defineCommand({
  name: 'accept',
  aliases: [],
  group: 'trust',
  scope: 'both',
  server: { once: 'needed', shell: false },
  background: true,
  summary: 'let in the peer of a question, this once, or take an offer',
  notes: [
    'An offer goes into the inbox (the setting inbox.folder, or --inbox of the listener), or to PATH: into it where that is a ' +
      'folder or ends in "/", otherwise PATH is the name. Nothing is replaced: a name that is taken gets a number.',
  ],
  arguments: {
    number: required('the number of the question or offer', parseQuestion, 'question'),
    path: optional('where an offer goes; the inbox unless given', path, 'path'),
  },
  options: {},
  examples: [
    { line: 'accept 1', does: 'lets the peer of question 1 in until it leaves, or takes offer 1' },
    { line: 'accept 2 ~/in/', does: 'takes offer 2 into a folder' },
  ],
  run: async (context, { arguments: { number, path: target } }) => {
    if (isElsewhere(context, number)) return await runInServer(context);
    const matter = findMatter(context, number);
    if (matter.kind === 'offer') return await takeOffer(context, matter.offer, target);
    if (target !== undefined)
      throw errorOf('USAGE', `${number.number} is a peer, not an offer`, {
        hint: `write accept ${number.number}`,
      });
    matter.answer('once');
  },
});

export const reject = defineCommand({
  name: 'reject',
  aliases: [],
  group: 'trust',
  scope: 'both',
  server: { once: 'needed', shell: false },
  summary: 'turn away the peer of a question, or refuse an offer',
  notes: [],
  arguments: { number: required('the number of the question or offer', parseQuestion, 'question') },
  options: {},
  examples: [{ line: 'reject 1', does: 'turns the peer of question 1 away' }],
  run: async (context, { arguments: { number } }) => {
    if (isElsewhere(context, number)) return await runInServer(context);
    const matter = findMatter(context, number);
    if (matter.kind === 'peer') {
      matter.answer('reject');
      return;
    }
    await matter.offer.reject();
    context.workspace.keepOffers();
  },
});

/** Whether a shell was given a question of the server of its home. */
function isElsewhere({ workspace: { pending } }: Context, { isServers }: Numbered): boolean {
  return isServers && !pending.isServers;
}

function findMatter({ workspace: { pending }, shell, server }: Context, { number }: Numbered): Matter {
  if (shell === undefined && server === undefined) throw noServer();
  return pending.find(number);
}

function stranger(matter: Matter): Matter & { kind: 'peer' } {
  if (matter.kind === 'peer') return matter;
  throw errorOf('USAGE', `${matter.number} is an offer, not a peer`, {
    hint: `accept ${matter.number} takes it, reject ${matter.number} refuses it`,
  });
}
