/** Something that a peer wants to send, and what it becomes once it is accepted. The same at both ends of a session. */
import { isUtf8 } from 'node:buffer';
import { homedir } from 'node:os';
import { errorOf } from '../errors.ts';
import { MAX_TEXT } from '../protocol/limits.ts';
import type { OfferedRoot, OfferedTotal } from '../protocol/messages.ts';
import { filterRules } from '../transfer/filter-rules.ts';
import type { EarlierPart, TargetPlace } from '../transfer/target.ts';
import { localPlace, memoryPlace, type PlaceOptions } from '../transfer/target-place.ts';
import type { ReceiveOptions } from './options.ts';
import type { PeerInfo, Receipt } from './report.ts';

/** Something that a peer wants to send. */
export interface Offer {
  readonly id: string;
  readonly from: PeerInfo;
  /** Names are unescaped. */
  readonly roots: readonly OfferedRoot[];
  /** What is in it, as the sender counts; undefined where it does not say. */
  readonly total: OfferedTotal | undefined;
  /** The inbox: where it goes unless {@link accept} says otherwise. */
  readonly folder: string;
  /** Aborted when it is withdrawn, or nobody has answered in time. */
  readonly signal: AbortSignal;
  /**
   * Receives it into a folder, or under a name: see {@link Session.get}. Without a target it goes into the inbox, where a
   * name that is taken is not replaced: the new one gets another.
   *
   * @throws USAGE, NOT_FOUND, NOT_A_FOLDER, CLOSED where it was withdrawn, and what ends transfers.
   */
  accept(target?: string, options?: ReceiveOptions): Promise<Receipt>;
  reject(): Promise<void>;
  /** Whether it is a short text that its sender wants to be shown: {@link read} gives it, {@link accept} stores it as a file. */
  readonly text: boolean;
  /**
   * Accepts a text and gives it; nothing is stored. It is as it was sent: escape it before it is shown.
   *
   * @throws NOT_SUPPORTED where it is none, BAD_MESSAGE where it is not UTF-8, CLOSED, and what ends transfers.
   */
  read(options?: ReadOptions): Promise<ReceivedText>;
}

/** How a text is read. */
export type ReadOptions = Pick<
  ReceiveOptions,
  'signal' | 'onProgress' | 'onTransfer' | 'onRetry' | 'retryFor'
>;

/** A text, and the receipt for it. */
export interface ReceivedText {
  readonly text: string;
  readonly receipt: Receipt;
}

/** In place of a target: nothing is stored. */
export const IN_MEMORY = Symbol('in memory');
/** Where an offer goes. */
export type Target = string | typeof IN_MEMORY;

/** Whether an offer is a text as it claims: one file, and not too long to be shown. */
export function isText(offer: { readonly roots: readonly OfferedRoot[]; readonly text: boolean }): boolean {
  const [root] = offer.roots;
  return (
    offer.text && offer.roots.length === 1 && root?.type === 'file' && (root.size ?? MAX_TEXT + 1) <= MAX_TEXT
  );
}

/** The text of a receipt. Throws what was wrong with its only file, BAD_MESSAGE. */
export function receivedText(receipt: Receipt): ReceivedText {
  const { text: bytes, outcomes, code } = receipt;
  if (code !== 'OK') throw errorOf(code, outcomes[0]?.reason);
  if (!bytes || !isUtf8(bytes)) throw errorOf('BAD_MESSAGE', 'the text is not UTF-8');
  return { text: Buffer.from(bytes).toString('utf8'), receipt };
}

/** What of the settings decides where an offer goes. */
export interface PlaceSettings {
  readonly freeSpaceReserve: number;
}

/** Where roots go, and how they are written there. Throws NOT_FOUND, NOT_A_FOLDER, IS_A_FOLDER. */
export function receivedPlace(
  target: Target,
  roots: readonly OfferedRoot[],
  options: ReceiveOptions,
  earlier: EarlierPart,
  { freeSpaceReserve }: PlaceSettings,
): TargetPlace {
  const how: PlaceOptions = {
    durable: options.durable ?? false,
    reserve: freeSpaceReserve,
    protectedFolder: options.unattended ? homedir() : undefined,
    blind: false,
    dryRun: options.dryRun ?? false,
    trustMtime: options.trustMtime ?? false,
    verify: options.verify ?? false,
    rules: filterRules({ ...options, gitignore: false }),
    earlier,
  };
  return target === IN_MEMORY ? memoryPlace(roots, how) : localPlace(target, roots, how);
}

/** A folder as a target to put things into. */
export function insideOf(folder: string): string {
  return folder.endsWith('/') ? folder : `${folder}/`;
}

/** Whether what goes on by another offer is what was accepted: sizes may have changed, names and kinds may not. */
export function isSameOffer(one: readonly OfferedRoot[], other: readonly OfferedRoot[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ name, type }, index) => name === other[index]?.name && type === other[index]?.type)
  );
}
