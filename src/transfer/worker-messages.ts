/** What the main thread and a transfer worker say to each other. Bytes of files never travel in these: slots do. */
import type { ErrorCode } from '../errors.ts';
import type { ExistingPolicy } from '../protocol/messages.ts';
import type { FilterRules } from './filter-rules.ts';
import type { Counters, Settled } from './progress.ts';
import type { SealSpec } from './sealed-source.ts';
import type { SourceSpec } from './source.ts';
import type { TargetPlace } from './target.ts';

/** The memory of one end of a transfer: counters, then slots. */
export interface SharedPlan {
  readonly memory: SharedArrayBuffer;
  readonly slots: number;
  readonly slotBytes: number;
}

export type ToWorker = { readonly transfer: number } & (
  | {
      readonly kind: 'source';
      readonly plan: SharedPlan;
      readonly chunk: number;
      readonly roots: readonly SourceSpec[];
      readonly rules: FilterRules | undefined;
      readonly follow: boolean;
      /** Transfers of one number send the same files and share what is read. */
      readonly group: number | undefined;
      /** Files are sealed while they are read. */
      readonly seal: SealSpec | undefined;
    }
  | {
      readonly kind: 'target';
      readonly plan: SharedPlan;
      readonly chunk: number;
      readonly existing: ExistingPolicy;
      readonly place: TargetPlace;
    }
  /** Source: the slot may be filled. */
  | { readonly kind: 'slot'; readonly slot: number }
  /** Target: a frame of the source stands in the slot. */
  | { readonly kind: 'frame'; readonly slot: number; readonly length: number }
  /** Source: a frame of the target. */
  | { readonly kind: 'answer'; readonly frame: Uint8Array }
  /** Ends the transfer here, finished or not; `discard`: without leaving anything for a resume. */
  | { readonly kind: 'end'; readonly discard: boolean }
);

export type FromWorker = { readonly transfer: number } & (
  | { readonly kind: 'frame'; readonly slot: number; readonly length: number }
  | { readonly kind: 'slot'; readonly slot: number }
  /** Target: a frame for the source. */
  | { readonly kind: 'emit'; readonly frame: Uint8Array }
  /** Source: the answer was taken. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'settled'; readonly rows: readonly Settled[] }
  | { readonly kind: 'current'; readonly path: string }
  /** Target: what was put together in memory; comes before `finished`. */
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  | { readonly kind: 'finished'; readonly manifestDigest: Uint8Array; readonly outcomeDigest: Uint8Array }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly detail: string }
  | { readonly kind: 'closed' }
);

const COUNTER_NAMES = ['files', 'filesTotal', 'bytes', 'bytesTotal', 'bytesSkipped'] as const;
const TOTALS_KNOWN = COUNTER_NAMES.length;
const ABORTED = TOTALS_KNOWN + 1;
/** Where the slots begin: the counters have a page of their own. */
const HEAD_BYTES = 4096;

/** Lays out the memory of one end. */
export function planMemory(slots: number, slotBytes: number): SharedPlan {
  return { memory: new SharedArrayBuffer(HEAD_BYTES + slots * slotBytes), slots, slotBytes };
}

/** A view of one slot. */
export function slotBytes(plan: SharedPlan, slot: number): Buffer {
  return Buffer.from(plan.memory, HEAD_BYTES + slot * plan.slotBytes, plan.slotBytes);
}

/** Counters that both threads see. Each field has one writer, so plain numbers suffice. */
export class SharedCounters implements Counters {
  readonly #values: Float64Array;

  constructor(plan: SharedPlan) {
    this.#values = new Float64Array(plan.memory, 0, ABORTED + 1);
  }

  get files(): number {
    return this.#get(0);
  }
  set files(value: number) {
    this.#values[0] = value;
  }
  get filesTotal(): number {
    return this.#get(1);
  }
  set filesTotal(value: number) {
    this.#values[1] = value;
  }
  get bytes(): number {
    return this.#get(2);
  }
  set bytes(value: number) {
    this.#values[2] = value;
  }
  get bytesTotal(): number {
    return this.#get(3);
  }
  set bytesTotal(value: number) {
    this.#values[3] = value;
  }
  get bytesSkipped(): number {
    return this.#get(4);
  }
  set bytesSkipped(value: number) {
    this.#values[4] = value;
  }
  get totalsKnown(): boolean {
    return this.#get(TOTALS_KNOWN) === 1;
  }
  set totalsKnown(value: boolean) {
    this.#values[TOTALS_KNOWN] = value ? 1 : 0;
  }
  /** Set by the main thread: long loops of the worker end at once. */
  get aborted(): boolean {
    return this.#get(ABORTED) === 1;
  }
  set aborted(value: boolean) {
    this.#values[ABORTED] = value ? 1 : 0;
  }

  #get(index: number): number {
    return this.#values[index] ?? 0;
  }
}
