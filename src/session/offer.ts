/** Something that a peer wants to send, and what it becomes once it is accepted. The same at both ends of a session. */
import { homedir } from 'node:os';
import type { OfferedRoot, OfferedTotal } from '../protocol/messages.ts';
import { filterRules } from '../transfer/path-filter.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { localPlace } from '../transfer/target-place.ts';
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
   * @throws NOT_FOUND, NOT_A_FOLDER, CLOSED where it was withdrawn, and what ends transfers.
   */
  accept(target?: string, options?: ReceiveOptions): Promise<Receipt>;
  reject(): Promise<void>;
}

/** What of the settings decides where an offer goes. */
export interface PlaceSettings {
  readonly freeSpaceReserve: number;
}

/** Where roots go, and how they are written there. Throws NOT_FOUND, NOT_A_FOLDER, IS_A_FOLDER. */
export function receivedPlace(
  target: string,
  roots: readonly OfferedRoot[],
  options: ReceiveOptions,
  renamed: TargetPlace['renamed'],
  { freeSpaceReserve }: PlaceSettings,
): TargetPlace {
  return localPlace(target, roots, {
    durable: options.durable ?? false,
    reserve: freeSpaceReserve,
    protectedFolder: options.unattended ? homedir() : undefined,
    blind: false,
    dryRun: options.dryRun ?? false,
    trustMtime: options.trustMtime ?? false,
    verify: options.verify ?? false,
    rules: filterRules({ ...options, gitignore: false }),
    renamed,
  });
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
