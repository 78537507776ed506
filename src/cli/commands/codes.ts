/** What send and pair share: a listener that waits for the codes which it shows. */
import { errorOf } from '../../errors.ts';
import type { Listener, OpenCode, PeerInfo, TypedCode } from '../../index.ts';
import { announceListener } from '../announce.ts';
import { flag, option } from '../command.ts';
import type { Context } from '../context.ts';
import { formatPeer, parseBindHost, parsePort } from '../peer-address.ts';
import { showQr } from '../qr-text.ts';
import { formatTime } from '../units.ts';

/** Where codes are opened. */
export const CODE_OPTIONS = {
  port: option('P', 'the port of the listener; a free one unless given', parsePort, 'port'),
  host: option('H', 'the address of the listener; all unless given', parseBindHost),
  hidden: flag('do not make it known on the network; the other side needs --from HOST:PORT'),
} as const;

export interface CodePlace {
  readonly port: number | undefined;
  readonly host: string | undefined;
  readonly hidden: boolean;
}

/** Opens a listener with codes and shows them, each with the command that takes it. */
export async function openCodes(
  context: Context,
  purpose: TypedCode['purpose'],
  count: number,
  { port, host, hidden }: CodePlace,
): Promise<Listener> {
  const localstream = await context.workspace.localstream();
  const listener = await localstream.listen({
    port: port ?? 0,
    ...(host === undefined ? {} : { host }),
    // A peer whose connection broke comes back while its old one still looks alive.
    maxConnections: 2 * count,
    codes: { purpose, count },
    advertise: !hidden && localstream.settings.discovery.enabled === 'on',
  });
  announceListener(context.background, listener);
  const [first] = listener.codes;
  if (first)
    context.output.note(
      `on the other machine run this, until ${formatTime(first.expires)}; where it finds nobody, add ` +
        `--from ${hostHint(listener)}`,
    );
  for (const code of listener.codes) showCode(context, listener, purpose, code);
  // Several would push each other off the screen.
  if (first && count === 1) await showQr(context.output, commandOf(purpose, first.text));
  return listener;
}

function hostHint({ host, port }: Listener): string {
  return host === '::' || host === '0.0.0.0'
    ? `HOST:${port} with this machine's name`
    : formatPeer(host, port);
}

/** What the other person runs. */
function commandOf(purpose: TypedCode['purpose'], code: string): string {
  return `localstream ${purpose === 'send' ? 'receive' : 'pair'} ${code}`;
}

function showCode(
  { output }: Context,
  listener: Listener,
  purpose: TypedCode['purpose'],
  { text, nameplate, expires }: OpenCode,
): void {
  const { port } = listener;
  output.result(
    { event: 'code', code: text, nameplate, port, purpose, expires: expires.toISOString() },
    commandOf(purpose, text),
  );
}

/** Waits for the peer that knows a code. Throws WRONG_CODE, TIMEOUT, CANCELLED. */
export async function untilUsed(code: OpenCode, signal: AbortSignal): Promise<PeerInfo> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason ?? errorOf('CANCELLED'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([code.used, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
