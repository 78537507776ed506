/** The receipt of one transfer: signed by its receiver, checked by its sender, and told to whoever started it. */
import type { KeyObject } from 'node:crypto';
import { digestOf } from '../crypto/digest.ts';
import type { Identity } from '../crypto/identity.ts';
import { signReceipt, verifyReceipt } from '../crypto/receipt.ts';
import { errorOf } from '../errors.ts';
import { encodeBytes, type MessageOf } from '../protocol/messages.ts';
import type { Outcomes } from './outcomes.ts';
import { type ReceiptBody, readBody, writeBody } from './receipt-body.ts';
import type { Receipt } from './report.ts';

/** What both ends know by themselves, and a receipt must say. */
export type ReceiptSubject = Pick<
  ReceiptBody,
  'session' | 'transfer' | 'sender' | 'receiver' | 'manifest' | 'outcomes'
>;

export type SignedReceipt = Pick<Receipt, 'body' | 'signature'>;

/** The receiver: signs what was committed. */
export async function signOutcomes(
  identity: Pick<Identity, 'signingKey'>,
  subject: ReceiptSubject,
  outcomes: Outcomes,
): Promise<SignedReceipt> {
  const { files, bytes, failed, skipped } = outcomes;
  const at = new Date().toISOString();
  const body = writeBody({ ...subject, files, bytes, failed, skipped, at }, outcomes.list());
  return { body, signature: encodeBytes(await signReceipt(identity, Buffer.from(body))) };
}

/**
 * The sender: `receiver` is the key of the other end.
 *
 * @throws INTEGRITY where it has not signed this, or says something else; BAD_MESSAGE.
 */
export function checkReceipt(
  receiver: KeyObject,
  subject: ReceiptSubject,
  { body, signature }: Pick<MessageOf<'receipt'>, 'body' | 'signature'>,
): SignedReceipt {
  if (!verifyReceipt(receiver, Buffer.from(body), signature))
    throw errorOf('INTEGRITY', 'the receipt is not signed by the receiver');
  const said = readBody(body);
  const same =
    said.session === subject.session &&
    said.transfer === subject.transfer &&
    said.sender === subject.sender &&
    said.receiver === subject.receiver &&
    said.manifest === subject.manifest &&
    said.outcomes === subject.outcomes;
  if (!same) throw errorOf('INTEGRITY', 'the receipt is not about what was sent');
  return { body, signature: encodeBytes(signature) };
}

/** What the receipt says of the files, for whoever started the transfer. */
export function tellOutcomes(
  { manifest, outcomes: digest }: ReceiptSubject,
  outcomes: Outcomes,
): Pick<
  Receipt,
  'files' | 'bytes' | 'digest' | 'outcomes' | 'failed' | 'skipped' | 'planned' | 'linked' | 'code'
> {
  const { files, bytes, failed, skipped, planned, linked, entries } = outcomes;
  const list = outcomes.list();
  const only = entries === 1 ? list[0]?.digest : undefined;
  return {
    files,
    bytes,
    digest: only ?? digestOf(Buffer.from(manifest + digest, 'hex')).toString('hex'),
    outcomes: list,
    failed,
    skipped,
    ...(planned.entries > 0 && { planned }),
    linked,
    code: outcomes.code(),
  };
}
