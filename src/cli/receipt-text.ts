/** Receipts in words, as events, and as the outcome of a command. */
import { errorOf, meaningOf } from '../errors.ts';
import type { FileOutcome, OpenedFile, Planned, Receipt } from '../index.ts';
import { formatBytes } from '../protocol/size-text.ts';
import { escapeText } from '../protocol/text.ts';
import type { OpenedDetail, OutcomeDetail, ReceiptEvent } from './events.ts';
import type { Output } from './output.ts';
import type { Paint } from './paint.ts';
import { peerDetail, peerName } from './peer-text.ts';
import { formatDuration, formatRate, plural } from './units.ts';

/** Files of a receipt that are listed on a terminal; `--json` has as many as the library keeps. */
const SHOWN_OUTCOMES = 20;

export function receiptEvent(receipt: Receipt): ReceiptEvent {
  const { transferId, direction, files, bytes, bytesMoved, seconds, digest, failed, skipped, code } = receipt;
  const { planned, linked, signature, signedBy, opened } = receipt;
  return {
    event: 'receipt',
    transferId,
    direction,
    files,
    bytes,
    bytesMoved,
    seconds: Math.round(seconds * 1000) / 1000,
    digest,
    failed,
    skipped,
    ...(planned && { planned }),
    linked,
    code,
    peer: peerDetail(receipt.peer),
    outcomes: receipt.outcomes.map(outcomeDetail),
    signature,
    signedBy,
    ...(opened && { opened: opened.map(openedDetail) }),
  };
}

function openedDetail({ path, name, outcome, sealer, code, reason }: OpenedFile): OpenedDetail {
  return {
    path,
    name: name ?? null,
    outcome,
    sealer: sealer ?? null,
    code: code ?? null,
    reason: reason ?? null,
  };
}

function outcomeDetail(of: FileOutcome): OutcomeDetail {
  const { path, outcome, size, digest, code, reason, savedAs, symlink = false } = of;
  return {
    path,
    outcome,
    size,
    digest: digest ?? null,
    symlink,
    code: code ?? null,
    reason: reason ?? null,
    savedAs: savedAs ?? null,
  };
}

/** One line for what crossed, then one for each file as `b3sum` writes it. */
function receiptText(receipt: Receipt, paint: Paint): string {
  const { outcomes, files } = receipt;
  const isWhole = receipt.code === 'OK';
  const lines = [isWhole ? paint.good(receiptLine(receipt)) : paint.warn(receiptLine(receipt))];
  for (const outcome of outcomes.slice(0, SHOWN_OUTCOMES)) {
    const note = outcomeNote(outcome);
    lines.push(
      `${outcome.digest ?? '-'.repeat(64)}  ${escapeText(outcome.path)}${note === '' ? '' : `  (${note})`}`,
    );
  }
  const more = Math.max(outcomes.length, files) - Math.min(outcomes.length, SHOWN_OUTCOMES);
  if (more > 0) lines.push(`… and ${plural(more, 'more file')}; --json lists them`);
  if (outcomes.length !== 1) lines.push(`${receipt.digest}  (manifest)`);
  const { opened = [] } = receipt;
  lines.push(...opened.slice(0, SHOWN_OUTCOMES).map(openedText));
  if (opened.length > SHOWN_OUTCOMES)
    lines.push(`… and ${plural(opened.length - SHOWN_OUTCOMES, 'more sealed file')}`);
  return lines.join('\n');
}

/** `opened a.pdf.sealed: a.pdf, sealed by SHA256:…`. */
function openedText({ path, name, outcome, sealer, reason }: OpenedFile): string {
  const shown = escapeText(path);
  if (name === undefined)
    return outcome === 'kept'
      ? `left sealed: ${shown} (${escapeText(reason ?? '')})`
      : `not opened: ${shown} (${escapeText(reason ?? '')})`;
  const note =
    outcome === 'same' ? ', was there already' : outcome === 'skipped' ? `, ${skippedText(reason)}` : '';
  return `opened ${shown}: ${escapeText(name)}, sealed by ${sealer}${note}`;
}

/** `received 1 file from nas: 3.20 MB in 0.42 s (7.60 MB/s)`; `peer`: how the other end is called in it. */
export function receiptLine(receipt: Receipt, peer = peerName(receipt.peer)): string {
  const { direction, files, bytes, bytesMoved, seconds, failed, skipped, planned, linked } = receipt;
  if (planned) return plannedLine(receipt, planned, peer);
  const verb = direction === 'send' ? 'sent' : 'received';
  const preposition = direction === 'send' ? 'to' : 'from';
  const rate = seconds > 0 && bytesMoved > 0 ? ` (${formatRate(bytesMoved / seconds)})` : '';
  const parts = [
    `${verb} ${plural(files, 'file')} ${preposition} ${peer}: ` +
      `${formatBytes(bytes)} in ${formatDuration(seconds)}${rate}`,
  ];
  if (bytesMoved < bytes) parts.push(`${formatBytes(bytes - bytesMoved)} were there already`);
  if (linked > 0) parts.push(`${plural(linked, 'hard link')} copied`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  if (failed > 0) parts.push(`${failed} failed`);
  return parts.join(', ');
}

/** `dry run: would send 3 files to nas: 4.20 MB, 2 files there already, 1 skipped`. */
function plannedLine({ direction, files, failed, skipped }: Receipt, planned: Planned, peer: string): string {
  const verb = direction === 'send' ? 'send' : 'receive';
  const preposition = direction === 'send' ? 'to' : 'from';
  const parts = [
    `dry run: would ${verb} ${plural(planned.files, 'file')} ${preposition} ${peer}: ${formatBytes(planned.bytes)}`,
  ];
  if (files > 0) parts.push(`${plural(files, 'file')} there already`);
  if (skipped > planned.entries) parts.push(`${skipped - planned.entries} skipped`);
  if (failed > 0) parts.push(`${failed} failed`);
  return parts.join(', ');
}

function outcomeNote({ outcome, reason, savedAs, code, symlink }: FileOutcome): string {
  const parts: string[] = symlink ? ['link'] : [];
  if (outcome === 'failed')
    parts.push(`failed: ${escapeText(reason ?? (code === undefined ? 'unknown' : meaningOf(code)))}`);
  else if (outcome === 'same') parts.push('was there already');
  else if (outcome === 'skipped') parts.push(reason?.startsWith('would ') ? reason : skippedText(reason));
  if (savedAs !== undefined) parts.push(`saved as ${escapeText(savedAs)}`);
  return parts.join(', ');
}

function skippedText(reason: string | undefined): string {
  return `skipped: ${escapeText(reason || 'it is there')}`;
}

/** Prints a receipt, whatever it says. */
export function showReceipt(output: Output, receipt: Receipt): void {
  output.result(receiptEvent(receipt), () => receiptText(receipt, output.style.paint));
}

/**
 * Prints a receipt, and throws where not all of it was done, so that the exit status says so.
 *
 * @param existingHint what can be done about a target that exists and differs.
 */
export function printReceipt(output: Output, receipt: Receipt, existingHint = OVERWRITE_HINT): void {
  showReceipt(output, receipt);
  if (receipt.code === 'OK') return;
  const first = receipt.outcomes.find(({ outcome }) => outcome === 'failed');
  const reason =
    first === undefined
      ? meaningOf(receipt.code)
      : `${first.path}: ${first.reason ?? meaningOf(receipt.code)}`;
  const others = receipt.failed > 1 ? ` (and ${receipt.failed - 1} more)` : '';
  const detail =
    first?.code === 'NO_SPACE' ? { hint: ROOM_HINT } : first?.code === 'EXISTS' ? { hint: existingHint } : {};
  throw errorOf(receipt.code, `${reason}${others}`, detail);
}

/** Told where a target exists already. */
const OVERWRITE_HINT = 'add --overwrite, --skip-existing, --rename or --update';

/** Told where there is no room for a file. */
const ROOM_HINT = 'make room there; the same again sends what is missing';

/** Of an existing target, to those who offer something: it is not theirs to decide. */
export const RECEIVERS_HINT = 'the receiver says what becomes of it, with --overwrite for one';
