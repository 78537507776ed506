/** A pairing code over the control channel: docs/protocol.md, "Pairing". It comes before the introductions. */
import type { PairingInput, PairingPurpose } from '../crypto/pairing.ts';
import { errorOf } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import {
  checkMessage,
  checkReply,
  encodeBytes,
  PAIR_SHARE,
  PAIR_TAG,
  type PairRequest,
} from '../protocol/messages.ts';

/** A code that somebody has typed, and what it is to be good for. */
export interface TypedCode {
  /** `7-nebula-duffel`, in whatever form a person writes it. */
  readonly code: string;
  readonly purpose: PairingPurpose;
}

/** Milliseconds that each answer of a run is waited for. */
export const RUN_PATIENCE = 10_000;

/** Shows to a listener that the code is known here, and has the listener show it too. Throws WRONG_CODE, BUSY, LOST, … */
export async function proveCode(channel: ControlChannel, input: PairingInput): Promise<void> {
  // Loaded when a code is used: its curve takes a tenth of the start of everything else.
  const { PairingDialler } = await import('../crypto/pairing.ts');
  using _late = deadline(channel);
  const run = new PairingDialler(input);
  channel.send({ type: 'pair', nameplate: input.nameplate, share: encodeBytes(run.share) });
  const answer = (await channel.receive()).value;
  if (isIntroduction(answer))
    throw errorOf('WRONG_CODE', 'nobody waits for a code there', {
      hint: 'look at the address once more',
    });
  const { share } = checkReply(PAIR_SHARE, answer);
  channel.send({ type: 'pair-tag', tag: encodeBytes(run.receiveShare(share)) });
  run.receiveTag(checkReply(PAIR_TAG, (await channel.receive()).value).tag);
}

/**
 * Answers a request over a code that is open here. Resolves where the dialler knows it; whatever it throws once `spent`
 * was called has burnt the code.
 */
export async function checkCode(
  channel: ControlChannel,
  request: PairRequest,
  input: PairingInput,
  spent: () => void,
): Promise<void> {
  const { PairingListener } = await import('../crypto/pairing.ts');
  using _late = deadline(channel);
  const run = new PairingListener(input);
  const share = run.receiveShare(request.share);
  // Before it leaves: whoever has it can test one guess.
  spent();
  channel.send({ type: 'pair-share', share: encodeBytes(share) });
  const { tag } = checkMessage(PAIR_TAG, (await channel.receive()).value);
  channel.send({ type: 'pair-tag', tag: encodeBytes(run.receiveTag(tag)) });
}

function isIntroduction(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'introduce';
}

function deadline(channel: ControlChannel): Disposable {
  const late = setTimeout(() => channel.fail(errorOf('TIMEOUT')), RUN_PATIENCE);
  return { [Symbol.dispose]: () => clearTimeout(late) };
}
