/** identity: who this machine is, in the forms in which people carry a key from one screen to another. */
import { fingerprintWords } from '../../crypto/fingerprint-words.ts';
import { isVirtual, lanInterfaces } from '../../discovery/interfaces.ts';
import type { Localstream } from '../../index.ts';
import { defineCommand, flag } from '../command.ts';
import { formatPeer } from '../peer-address.ts';
import { shownName, wordLines } from '../peer-text.ts';
import { showQr } from '../qr-text.ts';

export const identity = defineCommand({
  name: 'identity',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: "this machine's name and fingerprint, which is also written as words",
  notes: [
    'The keys are made on first use and stay in the home folder. The words are for reading aloud: both screens show the ' +
      'same for the same key.',
    'The code of --qr is the command by which another machine connects here and knows the key. It is drawn where the ' +
      'terminal can show it; --json has its text.',
  ],
  arguments: {},
  options: { qr: flag('draw address and fingerprint as a QR code') },
  examples: [
    { line: 'identity', does: 'shows what others type after trust or --fingerprint' },
    { line: 'identity --qr', does: 'draws it for a camera' },
  ],
  run: async ({ workspace, output }, { options }) => {
    const localstream = await workspace.localstream();
    const { name, fingerprint, home } = localstream;
    const words = fingerprintWords(fingerprint);
    const code = codeText(localstream);
    output.result(
      { event: 'identity', name, fingerprint, words, home: home.data, qr: options.qr ? code : null },
      [`${fingerprint}  ${shownName(name)}`, ...wordLines(words).map((line) => `  ${line}`)].join('\n'),
    );
    if (!options.qr || output.json || (await showQr(output, code))) return;
    output.note(
      `the code can't be drawn here, which needs a terminal of UTF-8 and room; its text is: ${code}`,
    );
  },
});

/** What somebody elsewhere runs: with the address where there is one that a network knows. */
function codeText({ fingerprint, listeners, settings }: Localstream): string {
  // A listener that waits for a code is there for one visit.
  const listener = listeners.find(({ codes }) => codes.length === 0);
  const port = listener?.port ?? settings.port;
  const isAnywhere = listener === undefined || listener.host === '::' || listener.host === '0.0.0.0';
  const host = isAnywhere ? ownAddress() : listener.host;
  return host === undefined
    ? `localstream trust ${fingerprint}`
    : `localstream connect ${formatPeer(host, port)} --fingerprint ${fingerprint}`;
}

/** The address by which others most likely reach this machine. */
function ownAddress(): string | undefined {
  const lans = lanInterfaces(undefined);
  const best = lans.find(({ name, ipv4 }) => ipv4.length > 0 && !isVirtual(name)) ?? lans[0];
  return best?.ipv4[0] ?? best?.ipv6.find((address) => !address.startsWith('fe80:'));
}
