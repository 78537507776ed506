/**
 * The receiving end of a transfer as a state machine: it is handed the frames of the source in order and says what to
 * answer. It writes through {@link TargetStore} and touches neither sockets nor files itself.
 *
 * Nothing that a frame declares is believed: names are checked one component at a time, sizes against what arrives,
 * digests against what was written. An entry that fails does so alone.
 */
import { createDigest, type Digest, digestOf } from '../crypto/digest.ts';
import { errorOf, type FlagName, LocalstreamError } from '../errors.ts';
import { failureName, flagNumber, flagOfError } from '../protocol/flags.ts';
import {
  FLAG_COMPARE,
  FLAG_HOLE,
  FLAG_LAST,
  FRAME,
  type FrameHeader,
  MAX_META_PAYLOAD,
  MAX_OPEN_BATCHES,
  makeFrame,
  OFFSET_BYTES,
  PIECE_BYTES,
} from '../protocol/frame.ts';
import { MAX_CHUNK } from '../protocol/limits.ts';
import {
  ANSWER,
  type Answer,
  cutText,
  DIGEST_BYTES,
  ENTRY,
  type EntryKind,
  encodeAnswers,
  encodeBasis,
  encodeResult,
  MAX_BASIS_PIECES,
  type ManifestEntry,
  OUTCOME,
  type OutcomeCode,
  readDone,
  readEnd,
  readEntries,
  readFailed,
  readPack,
  readSame,
} from '../protocol/manifest.ts';
import type { ExistingPolicy, OfferedRoot } from '../protocol/messages.ts';
import { freeNames } from './free-name.ts';
import { checkLinkTarget } from './link.ts';
import {
  checkName,
  decodeName,
  encodeName,
  MOST_NAME_BYTES,
  MOST_PATH_BYTES,
  type SafeName,
} from './name.ts';
import type { Counters, Settled } from './progress.ts';
import { isZero } from './zeros.ts';

/** What stands under a name. */
export interface Present {
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly size: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

/** How a finished file takes its place. */
export interface Placement {
  readonly mode: number;
  readonly mtime: number;
  /** `never`: fails with EXISTS where something stands; `replace`: takes its place; `rename`: takes a free name. */
  readonly place: 'never' | 'replace' | 'rename';
}

export interface FolderAttributes {
  readonly mode: number | undefined;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

/** A file that is being written, beside its place. */
export interface PartialFile {
  /** Bytes that were there when it was opened. */
  readonly held: number;
  writeAt(bytes: Buffer, position: number): void;
  hole(position: number, length: number): void;
  /** Fills the buffer; returns fewer bytes only at the end. */
  readAt(bytes: Buffer, position: number): number;
  /** Brings what was written to the disk. */
  sync(): void;
  /** Gives it its length, attributes and name. Returns the name that it has now. */
  commit(placement: Placement): SafeName;
  /** Closes it and leaves it for a resume; an empty one is removed. Nothing happens after a commit. */
  keep(): void;
  /** Removes it. Nothing happens after a commit. */
  discard(): void;
}

/** An old file that is compared or copied from. */
export interface BasisFile {
  readonly size: number;
  /** It takes less room than it has bytes: stretches of zeros are holes. */
  readonly sparse: boolean;
  readAt(bytes: Buffer, position: number): number;
  close(): void;
}

/** Where a transfer writes. The only writer; every method throws typed errors. `Folder` is an open folder's handle. */
export interface TargetStore<Folder> {
  /** Where an offered root goes: the folder and the name there. Undefined: it was not asked for. */
  root(
    name: SafeName,
  ): { readonly folder: Folder; readonly name: SafeName; readonly kind: OfferedRoot['type'] } | undefined;
  /** Whether the receiving person wants to leave an entry out. */
  excludes(path: string, isFolder: boolean): boolean;
  /** The name that an earlier part of this transfer gave to a file whose own was taken. */
  renamed(path: string): SafeName | undefined;
  /** Makes or enters a folder; a new one has its mode from the start, and its owner may use it until it is left. */
  enter(parent: Folder, name: SafeName, mode: number): { readonly folder: Folder; readonly created: boolean };
  /** Makes a folder under its name, or a free one. */
  enterNew(
    parent: Folder,
    name: SafeName,
    mode: number,
  ): { readonly folder: Folder; readonly name: SafeName };
  /** Enters a folder that is there; undefined where there is none. */
  peek(parent: Folder, name: SafeName): Folder | undefined;
  /** Closes a folder and, where `attributes` are given, sets them; without a mode it keeps its own. */
  leave(folder: Folder, attributes: FolderAttributes | undefined): void;
  /** Removes a folder that this transfer made, if it is empty. */
  remove(parent: Folder, name: SafeName): void;
  present(folder: Folder, name: SafeName): Present | undefined;
  /** Whether an interrupted partial may be there. */
  hasPartial(folder: Folder, name: SafeName): boolean;
  /** Opens the partial of a file, with what an earlier run has left. `size` is -1 for a stream. */
  openPartial(folder: Folder, name: SafeName, size: number): PartialFile;
  openBasis(folder: Folder, name: SafeName): BasisFile;
  /** Writes a small file whole. Returns the name that it has now. */
  writeSmall(folder: Folder, name: SafeName, bytes: Buffer, placement: Placement): SafeName;
  /** Makes a symbolic link. Returns the name that it has now. */
  link(folder: Folder, name: SafeName, target: string, placement: Placement): SafeName;
  /** Target of a link that is there. */
  linkTarget(folder: Folder, name: SafeName): string;
  /** Whether a name may not be written here at all (hidden files of a home folder under a standing yes). */
  protects(folder: Folder, name: SafeName): boolean;
  /** Bytes that may still be written. */
  freeBytes(): number;
}

export interface ReceiverOptions {
  readonly existing: ExistingPolicy;
  /** A drop-box: nothing is compared, resumed or told of what is there, and what collides gets another name. */
  readonly blind: boolean;
  /** Nothing is written: each entry is settled with what would be done. */
  readonly dryRun: boolean;
  /** A file of the same size and time counts as the same, unread. */
  readonly trustMtime: boolean;
  /** What was written is read again before it gets its name. */
  readonly verify: boolean;
  readonly counters: Counters;
  /** Sends a frame to the source. */
  readonly emit: (frame: Buffer) => void;
  readonly settled: (rows: Settled[]) => void;
  /** True once the transfer is cancelled: long loops look at it. */
  readonly aborted: () => boolean;
}

interface Branch<Folder> {
  readonly parent: Branch<Folder> | undefined;
  readonly name: SafeName;
  readonly path: string;
  /** Folders above it within its root; 0 for the folder that a root stands in. */
  readonly depth: number;
  /** Undefined when it could not be entered: all below it fails. */
  readonly folder: Folder | undefined;
  readonly failure: { readonly flag: FlagName; readonly reason: string } | undefined;
  readonly created: boolean;
  /** Left out by the receiver's own rules, with all that is in it. */
  readonly excluded: boolean;
  /** Entries below it that are not settled. */
  pending: number;
  closed: FolderAttributes | undefined;
  readonly attributes: FolderAttributes;
}

type State = 'settled' | 'wanted' | 'have' | 'compare' | 'later' | 'basis';

interface LiveEntry<Folder> {
  readonly batch: LiveBatch<Folder>;
  readonly index: number;
  readonly entry: ManifestEntry;
  readonly path: string;
  readonly branch: Branch<Folder>;
  name: SafeName | undefined;
  state: State;
  place: Placement['place'];
  /** Digest of what is there, for `have` and `compare`; of the whole basis for `basis`. */
  digest: Buffer | undefined;
  basis: Basis | undefined;
  /** Bytes that are set aside for it on the disk and not written yet. */
  reserved: number;
  /** Its bytes: as announced, for a stream as it turned out. */
  size: number;
}

interface LiveBatch<Folder> {
  readonly number: number;
  readonly entries: LiveEntry<Folder>[];
  open: number;
  results: Buffer[];
  resultBytes: number;
  rows: Settled[];
}

/** What is there of a file before the source sends the rest. */
interface Basis {
  readonly compare: boolean;
  /** Where it is looked for: in a partial, and in an old file where there is none or nothing of use in it. */
  readonly from: { readonly partial: boolean; readonly old: SafeName | undefined };
  /** Files are opened when their turn to be hashed comes: a manifest names more of them than can be open. */
  opened: boolean;
  /** The partial that goes on being written, or the old target that is copied from. */
  partial: PartialFile | undefined;
  old: BasisFile | undefined;
  /** Bytes that are described to the source: whole pieces, and the last one where the sizes agree. */
  length: number;
  position: number;
  /** Digest of `[0, position)`. */
  readonly digest: Digest;
  digests: Buffer[];
  sent: number;
}

interface OpenFile<Folder> {
  readonly live: LiveEntry<Folder>;
  readonly partial: PartialFile;
  digest: Digest;
  position: number;
}

/** Bytes of a basis that one background step hashes. */
const STEP_BYTES = 8 * PIECE_BYTES;
/** Bases that are open at once. The source answers in their order, so nobody waits for one that is not. */
const MOST_OPEN_BASES = 64;
const NO_DIGEST = Buffer.alloc(DIGEST_BYTES);
const RESULT_LIMIT = MAX_META_PAYLOAD - 512;
const MAX_DEPTH = 128;
/** Copies of one file, under names of their own, that are looked at. */
const MOST_COPIES = 100;

export class Receiver<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #options: ReceiverOptions;
  readonly #batches = new Map<number, LiveBatch<Folder>>();
  readonly #manifestDigest = createDigest();
  readonly #outcomeDigest = createDigest();
  readonly #roots = new Set<string>();
  readonly #jobs: LiveEntry<Folder>[] = [];
  readonly #branches = new Set<Branch<Folder>>();
  readonly #place: Placement['place'];
  #openBases = 0;
  #here: Branch<Folder> | undefined;
  #current: OpenFile<Folder> | undefined;
  #nextBatch = 0;
  #entries = 0;
  /** Bytes that are announced and not written, and what was free when the last batch came. */
  #announced = 0;
  #free = 0;
  #lastSeen = false;
  #buffer: Buffer | undefined;
  /** True once the source has said that all was sent and everything is settled. */
  finished = false;

  constructor(store: TargetStore<Folder>, options: ReceiverOptions) {
    this.#store = store;
    this.#options = options;
    // Also where nothing is in the way yet: it may have come by the time the file is whole.
    if (options.blind || options.existing === 'rename') this.#place = 'rename';
    else this.#place = options.existing === 'overwrite' ? 'replace' : 'never';
  }

  get manifestDigest(): Buffer {
    return this.#manifestDigest.digest();
  }

  get outcomeDigest(): Buffer {
    return this.#outcomeDigest.digest();
  }

  get current(): string | undefined {
    return this.#current?.live.path;
  }

  /** Takes one frame of the source. Throws BAD_MESSAGE or LIMIT when it is out of place: the transfer ends then. */
  receive(header: FrameHeader, payload: Buffer): void {
    if (this.finished) throw errorOf('BAD_MESSAGE', 'the source sent a frame after the end');
    switch (header.type) {
      case FRAME.manifest:
        this.#takeManifest(header, payload);
        return;
      case FRAME.pack:
        this.#takePack(header, payload);
        return;
      case FRAME.data:
        this.#takeData(header, payload);
        return;
      case FRAME.end:
        this.#takeEnd(header, payload);
        return;
      case FRAME.same:
        this.#takeSame(header, payload);
        return;
      case FRAME.differs:
        this.#takeDiffers(header, payload);
        return;
      case FRAME.failed:
        this.#takeFailed(header, payload);
        return;
      case FRAME.done:
        this.#takeDone(payload);
        return;
      default:
        throw errorOf('BAD_MESSAGE', `the source sent a frame of type ${header.type}`);
    }
  }

  /** Does a bounded part of the work that waits beside the frames. True: there is more. */
  step(): boolean {
    const live = this.#jobs[0];
    if (!live?.basis || (!live.basis.opened && this.#openBases >= MOST_OPEN_BASES)) return false;
    try {
      if (!live.basis.opened) this.#openBasis(live, live.basis);
      this.#hashBasis(live, live.basis);
    } catch (error) {
      this.#dropJob(live);
      this.#failEntry(live, error);
    }
    return this.#jobs.length > 0;
  }

  /** The transfer ends early: partials stay for a resume unless they are to be discarded, empty folders that it made are removed. */
  abort(discard = false): void {
    if (discard) this.#current?.partial.discard();
    else this.#current?.partial.keep();
    this.#current = undefined;
    for (const batch of this.#batches.values()) {
      for (const live of batch.entries) {
        if (discard) live.basis?.partial?.discard();
        this.#closeBasis(live);
      }
      // The source won't hear of these any more, but they are as they are, and whoever goes on has to know it.
      this.#tellRows(batch);
    }
    const innermostFirst = [...this.#branches].sort((a, b) => b.depth - a.depth);
    for (const branch of innermostFirst) {
      if (branch.folder === undefined) continue;
      this.#store.leave(branch.folder, undefined);
      const above = branch.parent?.folder;
      if (branch.created && above !== undefined) tryTo(() => this.#store.remove(above, branch.name));
    }
    this.#branches.clear();
  }

  // The manifest.

  #takeManifest(header: FrameHeader, payload: Buffer): void {
    if (header.batch !== this.#nextBatch || this.#lastSeen)
      throw errorOf('BAD_MESSAGE', 'a manifest batch is out of its place');
    if (this.#batches.size >= MAX_OPEN_BATCHES) throw errorOf('LIMIT', 'too many manifest batches are open');
    this.#nextBatch += 1;
    this.#lastSeen = (header.flags & FLAG_LAST) !== 0;
    this.#free = this.#store.freeBytes();
    this.#manifestDigest.update(payload);
    const entries = readEntries(payload);
    this.#entries += entries.length;
    const batch: LiveBatch<Folder> = {
      number: header.batch,
      entries: [],
      open: entries.length,
      results: [],
      resultBytes: 0,
      rows: [],
    };
    this.#batches.set(batch.number, batch);
    // All answers leave before the first result, and the jobs that follow from them come after both.
    const settle: (() => void)[] = [];
    const answers = entries.map((entry, index) => this.#decide(batch, entry, index, settle));
    this.#options.emit(makeFrame(FRAME.answer, encodeAnswers(answers), { batch: batch.number }));
    for (const run of settle) run();
    if (this.#lastSeen) {
      this.#options.counters.totalsKnown = true;
      if (this.#here) throw errorOf('BAD_MESSAGE', 'the manifest ends within a folder');
    }
  }

  #decide(batch: LiveBatch<Folder>, entry: ManifestEntry, index: number, settle: (() => void)[]): Answer {
    const { counters } = this.#options;
    if (entry.kind === ENTRY.file) {
      counters.filesTotal += 1;
      counters.bytesTotal += Math.max(0, entry.size);
    }
    if (entry.kind === ENTRY.leave) return this.#leave(batch, entry, index, settle);
    const spelled = decodeName(entry.name);
    const place = this.#locate(spelled, entry.kind);
    const live: LiveEntry<Folder> = {
      batch,
      index,
      entry,
      path: place.path,
      branch: place.branch,
      name: place.name,
      state: 'wanted',
      place: this.#place,
      digest: undefined,
      basis: undefined,
      reserved: 0,
      size: Math.max(0, entry.size),
    };
    batch.entries[index] = live;
    live.branch.pending += 1;
    try {
      if (entry.kind === ENTRY.failed) throw errorOf(failureName(entry.size), decodeReason(entry.extra));
      if (place.error) throw place.error;
      const { failure } = live.branch;
      if (live.branch.excluded || this.#store.excludes(live.path, entry.kind === ENTRY.folder))
        return this.#exclude(live, settle);
      if (failure) throw errorOf(failure.flag, failure.reason);
      if (live.name === undefined) throw errorOf('BAD_NAME');
      if (live.branch.folder === undefined) {
        if (!this.#options.dryRun) throw errorOf('BAD_NAME');
        return this.#wouldCreate(live, settle);
      }
      if (this.#store.protects(live.branch.folder, live.name))
        throw errorOf('NOT_ALLOWED', 'hidden files of a home folder are not written without being asked for');
      return this.#answer(live, live.branch.folder, live.name, settle);
    } catch (error) {
      if (entry.kind === ENTRY.folder) this.#descend(live, undefined, false, error);
      settle.push(() =>
        isLeftOut(entry, error) ? this.#leaveOut(live, error) : this.#failEntry(live, error),
      );
      return { code: ANSWER.skip };
    }
  }

  /** Left out without a word: whoever asked for it knows. */
  #exclude(live: LiveEntry<Folder>, settle: (() => void)[]): Answer {
    if (live.entry.kind === ENTRY.folder) this.#descend(live, undefined, false, undefined, true);
    settle.push(() => this.#settle(live, OUTCOME.skipped, 'OK', NO_DIGEST, ''));
    return { code: ANSWER.skip };
  }

  /** Finds the place of the next entry: below the open folder or, at the top, where its root was mapped to. */
  #locate(
    spelled: string,
    kind: EntryKind,
  ): {
    branch: Branch<Folder>;
    name: SafeName | undefined;
    path: string;
    error?: unknown;
  } {
    const here = this.#here;
    if (here) {
      const path = shownPath(here.path, spelled);
      // No walk of ours goes deeper, and each level costs memory.
      if (here.depth > MAX_DEPTH) throw errorOf('LIMIT', 'the manifest nests its folders too deep');
      try {
        if (here.depth === MAX_DEPTH) throw errorOf('BAD_NAME', 'the folders are nested too deep');
        return { branch: here, name: checkName(spelled), path };
      } catch (error) {
        return { branch: here, name: undefined, path, error };
      }
    }
    const outside = (error: unknown) => ({
      branch: this.#branch({ name: spelled as SafeName, folder: undefined }),
      name: undefined,
      path: shownPath('', spelled),
      error,
    });
    try {
      const checked = checkName(spelled);
      const root = this.#roots.has(checked) ? undefined : this.#store.root(checked);
      // Not asked for, or a second time under the same name: the source breaks its own offer.
      if (!root) throw errorOf('BAD_MESSAGE', 'the source sent what it did not offer');
      // Whoever accepted a file did not accept a folder.
      if (kind !== ENTRY.failed && kind !== ENTRY[root.kind])
        throw errorOf(
          'BAD_MESSAGE',
          `the source sent a thing of another kind than the ${root.kind} it offered`,
        );
      this.#roots.add(checked);
      const branch = this.#branch({ name: checked, folder: root.folder });
      return { branch, name: root.name, path: spelled };
    } catch (error) {
      if (error instanceof LocalstreamError && error.code === 'BAD_MESSAGE') throw error;
      return outside(error);
    }
  }

  #branch(own: Pick<Branch<Folder>, 'name' | 'folder'> & Partial<Branch<Folder>>): Branch<Folder> {
    return {
      parent: undefined,
      path: '',
      depth: 0,
      failure: undefined,
      created: false,
      excluded: false,
      attributes: { mode: 0, mtime: 0 },
      ...own,
      pending: 0,
      closed: undefined,
    };
  }

  #descend(
    live: LiveEntry<Folder>,
    folder: Folder | undefined,
    created: boolean,
    error?: unknown,
    excluded = false,
    absent = false,
  ): void {
    const failed = folder === undefined && !excluded && !absent;
    const { mtime } = live.entry;
    const mode = this.#setsMode(live, created) ? live.entry.mode : undefined;
    const branch = this.#branch({
      parent: live.branch,
      name: live.name ?? ('' as SafeName),
      path: live.path,
      depth: live.branch.depth + 1,
      folder,
      created,
      excluded,
      failure: failed ? { flag: flagOfError(error), reason: reasonOf(error) } : undefined,
      attributes: { mode, mtime },
    });
    // The folder itself stays pending at its parent until it is left and all in it is settled.
    live.branch.pending += 1;
    this.#branches.add(branch);
    this.#here = branch;
  }

  /** What was there keeps its mode, unless overwriting is asked for; what was chosen as the target keeps it always. */
  #setsMode(live: LiveEntry<Folder>, created: boolean): boolean {
    return created || (this.#options.existing === 'overwrite' && live.branch.depth > 0);
  }

  #leave(batch: LiveBatch<Folder>, entry: ManifestEntry, index: number, settle: (() => void)[]): Answer {
    const branch = this.#here;
    if (!branch) throw errorOf('BAD_MESSAGE', 'the manifest leaves a folder that it did not enter');
    const { parent } = branch;
    this.#here = parent && parent.depth > 0 ? parent : undefined;
    branch.closed = branch.attributes;
    const live: LiveEntry<Folder> = {
      batch,
      index,
      entry,
      path: branch.path,
      branch,
      name: undefined,
      state: 'wanted',
      place: 'never',
      digest: undefined,
      basis: undefined,
      reserved: 0,
      size: Math.max(0, entry.size),
    };
    batch.entries[index] = live;
    branch.pending += 1;
    settle.push(() => this.#settle(live, OUTCOME.committed, 'OK', NO_DIGEST, ''));
    return { code: ANSWER.skip };
  }

  #answer(live: LiveEntry<Folder>, folder: Folder, name: SafeName, settle: (() => void)[]): Answer {
    if (live.entry.kind === ENTRY.folder) return this.#answerFolder(live, folder, name, settle);
    const earlier = live.entry.kind === ENTRY.file ? this.#store.renamed(live.path) : undefined;
    if (earlier !== undefined && this.#isThere(live, folder, earlier)) {
      live.place = 'rename';
      return this.#describe(live, folder, earlier, live.entry.size, true, settle);
    }
    const present = this.#options.blind ? undefined : this.#store.present(folder, name);
    if (live.entry.kind === ENTRY.link) {
      this.#answerLink(live, folder, name, present, settle);
      return { code: ANSWER.skip };
    }
    return this.#answerFile(live, folder, name, present, settle);
  }

  #answerFolder(live: LiveEntry<Folder>, folder: Folder, name: SafeName, settle: (() => void)[]): Answer {
    const { blind, dryRun } = this.#options;
    const { mode } = live.entry;
    const settled = (outcome: OutcomeCode): Answer => {
      settle.push(() => this.#settle(live, outcome, 'OK', NO_DIGEST, ''));
      return { code: ANSWER.skip };
    };
    if (dryRun) {
      const there = blind ? undefined : this.#store.peek(folder, name);
      if (there === undefined) return this.#wouldCreate(live, settle);
      this.#descend(live, there, false);
      return settled(OUTCOME.same);
    }
    if (blind) {
      // What others left is neither entered nor told of.
      const made = this.#store.enterNew(folder, name, mode);
      live.name = made.name;
      this.#descend(live, made.folder, true);
      return settled(OUTCOME.committed);
    }
    const entered = this.#store.enter(folder, name, mode);
    this.#descend(live, entered.folder, entered.created);
    return settled(entered.created ? OUTCOME.committed : OUTCOME.same);
  }

  #isThere(live: LiveEntry<Folder>, folder: Folder, name: SafeName): boolean {
    const present = this.#store.present(folder, name);
    return present?.kind === 'file' && present.size === live.entry.size;
  }

  #answerLink(
    live: LiveEntry<Folder>,
    folder: Folder,
    name: SafeName,
    present: Present | undefined,
    settle: (() => void)[],
  ): void {
    const target = decodeName(live.entry.extra);
    checkLinkTarget(target, live.branch.depth);
    if (present?.kind === 'link' && this.#store.linkTarget(folder, name) === target) {
      settle.push(() => this.#settle(live, OUTCOME.same, 'OK', NO_DIGEST, ''));
      return;
    }
    if (present && this.#policy(live, present) === 'skip') {
      settle.push(() => this.#settle(live, OUTCOME.skipped, 'EXISTS', NO_DIGEST, ''));
      return;
    }
    const isSame = (other: SafeName, { kind }: Present) =>
      kind === 'link' && this.#store.linkTarget(folder, other) === target;
    if (present && this.#copyOf(folder, name, isSame) !== undefined) {
      settle.push(() => this.#settle(live, OUTCOME.same, 'OK', NO_DIGEST, ''));
      return;
    }
    if (present && live.place === 'never') throw errorOf('EXISTS');
    if (this.#options.dryRun) {
      settle.push(() => this.#would(live, present ? wouldOf(live.place) : 'create'));
      return;
    }
    const { mode, mtime } = live.entry;
    const saved = this.#store.link(folder, name, target, { mode, mtime, place: live.place });
    settle.push(() => this.#settle(live, OUTCOME.committed, 'OK', NO_DIGEST, this.#renamed(name, saved)));
  }

  /**
   * Under which name an earlier transfer has stored this very thing, where its own was taken; so that it is stored once
   * and not once more every night.
   */
  #copyOf(
    folder: Folder,
    name: SafeName,
    isIt: (other: SafeName, present: Present) => boolean,
  ): SafeName | undefined {
    if (this.#options.existing !== 'rename') return undefined;
    let tries = 0;
    for (const other of freeNames(name)) {
      const present = this.#store.present(folder, other);
      if (present === undefined || tries === MOST_COPIES) return undefined;
      if (isIt(other, present)) return other;
      tries += 1;
    }
    return undefined;
  }

  /** A dry run says what a real one would do. */
  #would(live: LiveEntry<Folder>, what: 'create' | 'overwrite' | 'rename'): void {
    this.#settle(live, OUTCOME.skipped, 'OK', NO_DIGEST, `would ${what}`);
  }

  #wouldCreate(live: LiveEntry<Folder>, settle: (() => void)[]): Answer {
    if (live.entry.kind === ENTRY.folder) this.#descend(live, undefined, false, undefined, false, true);
    settle.push(() => this.#would(live, 'create'));
    return { code: ANSWER.skip };
  }

  /** What the policy makes of something that is there, and how the new file may take its place. */
  #policy(live: LiveEntry<Folder>, present: Present): 'skip' | 'compare' | 'patch' {
    const { existing } = this.#options;
    if (present.kind === 'folder') throw errorOf('IS_A_FOLDER', 'a folder of that name is there');
    if (present.kind === 'other') throw errorOf('EXISTS', 'something that is not a file has that name');
    switch (existing) {
      case 'skip':
        return 'skip';
      case 'update':
        if (present.mtime >= live.entry.mtime) return 'skip';
        live.place = 'replace';
        return 'patch';
      case 'overwrite':
        return 'patch';
      default:
        return 'compare';
    }
  }

  #answerFile(
    live: LiveEntry<Folder>,
    folder: Folder,
    name: SafeName,
    present: Present | undefined,
    settle: (() => void)[],
  ): Answer {
    const { size } = live.entry;
    const unread = this.#options.trustMtime && present?.kind === 'file' && present.size === size;
    if (unread && present.mtime === live.entry.mtime) {
      this.#countSkipped(live);
      settle.push(() => this.#settle(live, OUTCOME.same, 'OK', NO_DIGEST, ''));
      return { code: ANSWER.skip };
    }
    const compare = present ? this.#policy(live, present) : 'patch';
    if (compare === 'skip') {
      settle.push(() => this.#settle(live, OUTCOME.skipped, 'EXISTS', NO_DIGEST, ''));
      return { code: ANSWER.skip };
    }
    if (present && compare === 'compare') {
      // By size and time it is only found: the digest decides.
      const isIt = (_: SafeName, other: Present) =>
        other.kind === 'file' && other.size === size && other.mtime === live.entry.mtime;
      const copy = this.#copyOf(folder, name, isIt);
      if (copy !== undefined) return this.#describe(live, folder, copy, size, true, settle);
      if (present.kind === 'file' && present.size === size)
        return this.#describe(live, folder, name, size, true, settle);
      if (live.place === 'never') throw errorOf('EXISTS');
    }
    if (this.#options.dryRun) {
      if (present?.kind === 'file' && present.size === size)
        return this.#describe(live, folder, name, size, true, settle);
      settle.push(() => this.#would(live, present ? wouldOf(live.place) : 'create'));
      return { code: ANSWER.skip };
    }
    const large = size > PIECE_BYTES && present !== undefined && present.size > PIECE_BYTES;
    const alike = present?.kind === 'file' && live.place === 'replace' && (present.size === size || large);
    const old = alike && size >= 0;
    // What a partial holds need not be set aside: how much that is shows when it is opened.
    if (size >= 0 && !this.#options.blind && this.#store.hasPartial(folder, name))
      return this.#startJob(live, { partial: true, old: old && large ? name : undefined }, false, settle);
    this.#reserve(live, size);
    if (old) return this.#describe(live, folder, name, size, false, settle);
    return { code: ANSWER.send };
  }

  /** Bytes that are announced and not written yet must fit on the disk, a batch at a time. */
  #reserve(live: LiveEntry<Folder>, bytes: number): void {
    const wanted = Math.max(0, bytes);
    if (this.#announced + wanted > this.#free) throw errorOf('NO_SPACE');
    this.#announced += wanted;
    live.reserved = wanted;
  }

  #use(live: LiveEntry<Folder>, bytes: number): void {
    const used = Math.min(bytes, live.reserved);
    live.reserved -= used;
    this.#announced -= used;
  }

  /** Answers with what the old target has: its digest at once where it is one piece, otherwise piece by piece. */
  #describe(
    live: LiveEntry<Folder>,
    folder: Folder,
    name: SafeName,
    size: number,
    compare: boolean,
    settle: (() => void)[],
  ): Answer {
    if (size > PIECE_BYTES) return this.#startJob(live, { partial: false, old: name }, compare, settle);
    const old = this.#store.openBasis(folder, name);
    try {
      const bytes = this.#scratch().subarray(0, size);
      const whole = old.readAt(bytes, 0) === size;
      live.digest = whole ? digestOf(bytes) : NO_DIGEST;
      live.state = compare ? 'compare' : 'have';
      return { code: compare ? ANSWER.compare : ANSWER.have, digest: live.digest };
    } finally {
      old.close();
    }
  }

  #openBasis(live: LiveEntry<Folder>, basis: Basis): void {
    const { folder } = live.branch;
    const { name, entry } = live;
    if (folder === undefined || name === undefined) throw errorOf('BAD_NAME');
    basis.opened = true;
    this.#openBases += 1;
    if (basis.from.partial) {
      const partial = this.#store.openPartial(folder, name, entry.size);
      basis.partial = partial;
      basis.length = describedBytes(partial.held, entry.size);
      this.#free = this.#store.freeBytes();
      this.#reserve(live, entry.size - partial.held);
    }
    if (basis.from.old === undefined || basis.length > 0) return;
    basis.partial?.keep();
    basis.partial = undefined;
    basis.old = this.#store.openBasis(folder, basis.from.old);
    basis.length = describedBytes(basis.old.size, entry.size);
  }

  #closeBasis(live: LiveEntry<Folder>): void {
    const { basis } = live;
    if (!basis) return;
    basis.old?.close();
    basis.partial?.keep();
    if (basis.opened) this.#openBases -= 1;
    live.basis = undefined;
  }

  #startJob(live: LiveEntry<Folder>, from: Basis['from'], compare: boolean, settle: (() => void)[]): Answer {
    live.basis = newBasis(compare, from);
    live.state = 'later';
    settle.push(() => this.#jobs.push(live));
    return { code: ANSWER.later };
  }

  #scratch(): Buffer {
    this.#buffer ??= Buffer.allocUnsafe(PIECE_BYTES);
    return this.#buffer;
  }

  #hashBasis(live: LiveEntry<Folder>, basis: Basis): void {
    const file = basis.partial ?? basis.old;
    const until = Math.min(basis.length, basis.position + STEP_BYTES);
    while (file && basis.position < until) {
      const bytes = this.#scratch().subarray(0, Math.min(PIECE_BYTES, basis.length - basis.position));
      if (file.readAt(bytes, basis.position) < bytes.length)
        throw errorOf('UNREADABLE', 'the old file shrank');
      basis.digest.update(bytes);
      basis.digests.push(digestOf(bytes));
      basis.position += bytes.length;
    }
    const last = basis.position >= basis.length;
    if (last) {
      // From here on the source may speak of it.
      live.state = 'basis';
      this.#dropJob(live);
    }
    while (basis.digests.length >= MAX_BASIS_PIECES) this.#emitBasis(live, basis, MAX_BASIS_PIECES, false);
    if (last) this.#emitBasis(live, basis, basis.digests.length, true);
  }

  #dropJob(live: LiveEntry<Folder>): void {
    const place = this.#jobs.indexOf(live);
    if (place >= 0) this.#jobs.splice(place, 1);
  }

  #emitBasis(live: LiveEntry<Folder>, basis: Basis, count: number, last: boolean): void {
    const digests = Buffer.concat(basis.digests.splice(0, count));
    const flags = (last ? FLAG_LAST : 0) | (basis.compare ? FLAG_COMPARE : 0);
    const payload = encodeBasis({ first: basis.sent, digests });
    basis.sent += count;
    this.#options.emit(
      makeFrame(FRAME.basis, payload, { batch: live.batch.number, index: live.index, flags }),
    );
  }

  // What the source sends.

  #live(header: FrameHeader, index = header.index): LiveEntry<Folder> {
    const live = this.#batches.get(header.batch)?.entries[index];
    if (live?.entry.kind !== ENTRY.file)
      throw errorOf('BAD_MESSAGE', 'the source speaks of a file that is not open');
    return live;
  }

  #takePack(header: FrameHeader, payload: Buffer): void {
    for (const file of readPack(payload)) {
      const live = this.#batches.get(header.batch)?.entries[file.index];
      if (!live) {
        // Given up here while it was on its way; a batch that never was is the source's fault.
        if (header.batch < this.#nextBatch) continue;
        throw errorOf('BAD_MESSAGE', 'a pack belongs to no batch');
      }
      if (live.entry.kind !== ENTRY.file || file.bytes.length !== live.entry.size)
        throw errorOf('BAD_MESSAGE', 'a packed file is not what was announced');
      if (live.state === 'settled') continue;
      if (live.state !== 'wanted' && live.state !== 'have')
        throw errorOf('BAD_MESSAGE', 'the source sent a file unasked');
      this.#writePacked(live, file.bytes, file.digest);
    }
  }

  #writePacked(live: LiveEntry<Folder>, bytes: Buffer, digest: Buffer): void {
    const { branch, name, entry } = live;
    try {
      if (!digestOf(bytes).equals(digest)) throw errorOf('INTEGRITY');
      if (branch.folder === undefined || name === undefined) throw errorOf('BAD_NAME');
      const placement = { mode: entry.mode, mtime: entry.mtime, place: live.place };
      const saved = this.#options.verify
        ? this.#writeVerified(branch.folder, name, bytes, digest, placement)
        : this.#store.writeSmall(branch.folder, name, bytes, placement);
      this.#options.counters.bytes += bytes.length;
      this.#use(live, bytes.length);
      this.#settle(live, OUTCOME.committed, 'OK', Buffer.from(digest), this.#renamed(name, saved));
    } catch (error) {
      this.#failEntry(live, error);
    }
  }

  #writeVerified(
    folder: Folder,
    name: SafeName,
    bytes: Buffer,
    digest: Buffer,
    placement: Placement,
  ): SafeName {
    const partial = this.#store.openPartial(folder, name, bytes.length);
    try {
      if (bytes.length > 0) partial.writeAt(bytes, 0);
      this.#readBack(partial, bytes.length, digest);
      return partial.commit(placement);
    } finally {
      partial.discard();
    }
  }

  /** The open file of a DATA or END frame; undefined when it was given up here and the frame is late. */
  #openFor(header: FrameHeader): OpenFile<Folder> | undefined {
    if (!this.#batches.has(header.batch) && header.batch < this.#nextBatch) return undefined;
    const live = this.#live(header);
    if (live.state === 'settled') return undefined;
    if (this.#current) {
      if (this.#current.live !== live) throw errorOf('BAD_MESSAGE', 'the source began a file within another');
      return this.#current;
    }
    const { basis, branch, name } = live;
    const whole = live.state === 'wanted' || live.state === 'have';
    const ready = whole || (live.state === 'basis' && !basis?.compare);
    if (!ready || branch.folder === undefined || name === undefined)
      throw errorOf('BAD_MESSAGE', 'the source sent a file unasked');
    try {
      const partial = basis?.partial ?? this.#store.openPartial(branch.folder, name, live.entry.size);
      this.#current = { live, partial, digest: createDigest(), position: 0 };
      return this.#current;
    } catch (error) {
      this.#failEntry(live, error);
      return undefined;
    }
  }

  #takeData(header: FrameHeader, payload: Buffer): void {
    const file = this.#openFor(header);
    if (!file) return;
    if (payload.length < OFFSET_BYTES) throw errorOf('BAD_MESSAGE', 'a data frame is too short');
    const position = Number(payload.readBigUInt64BE(0));
    const hole = (header.flags & FLAG_HOLE) !== 0;
    if (hole && payload.length !== OFFSET_BYTES + 8) throw errorOf('BAD_MESSAGE', 'a hole is malformed');
    const length = hole ? Number(payload.readBigUInt64BE(OFFSET_BYTES)) : payload.length - OFFSET_BYTES;
    // What a hole costs us must follow what it costs the sender, so it is no longer than a frame could be.
    if (hole && length > MAX_CHUNK) throw errorOf('LIMIT', 'a hole is too long');
    const { size } = file.live.entry;
    const end = position + length;
    if (length === 0 || !Number.isSafeInteger(end) || (size >= 0 && end > size))
      throw errorOf('BAD_MESSAGE', 'the source sent more than it announced');
    this.#checkGap(file, position);
    try {
      this.#fillFromBasis(file, position);
      if (hole) this.#writeHole(file, position, length);
      else {
        const bytes = payload.subarray(OFFSET_BYTES);
        file.digest.update(bytes);
        file.partial.writeAt(bytes, position);
      }
      file.position = end;
      this.#options.counters.bytes += length;
      const held = file.live.basis?.partial?.held ?? 0;
      this.#use(file.live, Math.max(0, end - Math.max(position, held)));
    } catch (error) {
      this.#giveUp(file, error);
    }
  }

  /** Bytes may only be left out where we said that we have them, in whole pieces. */
  #checkGap(file: OpenFile<Folder>, position: number): void {
    if (position === file.position) return;
    const length = file.live.basis?.length ?? 0;
    const aligned = position % PIECE_BYTES === 0 || position === file.live.entry.size;
    const begins = file.position % PIECE_BYTES === 0;
    if (position < file.position || position > length || !aligned || !begins)
      throw errorOf('BAD_MESSAGE', 'the source left out bytes that are not here');
  }

  #fillFromBasis(file: OpenFile<Folder>, until: number): void {
    const { basis } = file.live;
    if (!basis || file.position >= until) return;
    const { counters } = this.#options;
    counters.bytes += until - file.position;
    counters.bytesSkipped += until - file.position;
    if (!basis.partial) this.#use(file.live, until - file.position);
    if (basis.partial && file.position === 0 && until === basis.length) {
      // Just this stretch was hashed when it was described, and it is where it belongs.
      file.digest = basis.digest;
      file.position = until;
      return;
    }
    const from = basis.partial ?? basis.old;
    while (from && file.position < until) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      const bytes = this.#scratch().subarray(0, Math.min(PIECE_BYTES, until - file.position));
      if (from.readAt(bytes, file.position) < bytes.length)
        throw errorOf('UNREADABLE', 'the old file shrank');
      file.digest.update(bytes);
      if (basis.old?.sparse && isZero(bytes)) file.partial.hole(file.position, bytes.length);
      else if (!basis.partial) file.partial.writeAt(bytes, file.position);
      file.position += bytes.length;
    }
  }

  #writeHole(file: OpenFile<Folder>, position: number, length: number): void {
    const zeros = Buffer.alloc(Math.min(length, PIECE_BYTES));
    for (let done = 0; done < length; done += zeros.length) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      file.digest.update(zeros.subarray(0, Math.min(zeros.length, length - done)));
    }
    file.partial.hole(position, length);
  }

  /** Digest of the old target of a file, where it is as long as the new one will be. */
  #oldDigest({ basis, entry }: LiveEntry<Folder>): Buffer | undefined {
    const whole = basis?.old && basis.old.size === entry.size && basis.length === entry.size;
    return whole ? basis.digest.digest() : undefined;
  }

  /** No piece of a file differs from the old target: that stays, and nothing is copied. */
  #isUnchanged(header: FrameHeader, digest: Buffer): boolean {
    const live = this.#batches.get(header.batch)?.entries[header.index];
    if (this.#current || live?.state !== 'basis' || live.basis?.compare) return false;
    if (!this.#oldDigest(live)?.equals(digest)) return false;
    this.#countSkipped(live);
    this.#settle(live, OUTCOME.same, 'OK', digest, '');
    return true;
  }

  #takeEnd(header: FrameHeader, payload: Buffer): void {
    const { size, digest } = readEnd(payload);
    if (this.#isUnchanged(header, digest)) return;
    const file = this.#openFor(header);
    if (!file) return;
    const { live } = file;
    live.size = size;
    if (live.entry.size >= 0 && size !== live.entry.size)
      throw errorOf('BAD_MESSAGE', 'a file ends elsewhere than announced');
    this.#checkGap(file, size);
    try {
      this.#fillFromBasis(file, size);
      if (file.position !== size) throw errorOf('BAD_MESSAGE', 'a file ends before its bytes');
      if (!file.digest.digest().equals(digest)) throw errorOf('INTEGRITY');
      if (this.#options.verify) this.#readBack(file.partial, size, digest);
      const { mode, mtime } = live.entry;
      const saved = file.partial.commit({ mode, mtime, place: live.place });
      this.#current = undefined;
      this.#settle(live, OUTCOME.committed, 'OK', digest, this.#renamed(live.name, saved));
    } catch (error) {
      this.#giveUp(file, error);
    }
  }

  /** Reads what was written once more. Throws INTEGRITY when the disk gives back something else. */
  #readBack(partial: PartialFile, size: number, digest: Buffer): void {
    const again = createDigest();
    partial.sync();
    for (let position = 0; position < size; ) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      const bytes = this.#scratch().subarray(0, Math.min(PIECE_BYTES, size - position));
      if (partial.readAt(bytes, position) < bytes.length) break;
      again.update(bytes);
      position += bytes.length;
    }
    if (!again.digest().equals(digest)) throw errorOf('INTEGRITY', 'what was written reads back differently');
  }

  /** This file fails; what has been written of it stays, unless its digest was wrong. */
  #giveUp(file: OpenFile<Folder>, error: unknown): void {
    this.#current = undefined;
    if (error instanceof LocalstreamError && error.code === 'INTEGRITY') file.partial.discard();
    else file.partial.keep();
    this.#failEntry(file.live, error);
    if (error instanceof LocalstreamError && error.code === 'CANCELLED') throw error;
  }

  #takeSame(header: FrameHeader, payload: Buffer): void {
    for (const row of readSame(payload)) {
      const live = this.#live(header, row.index);
      if (live.state === 'settled') continue;
      const known = live.state === 'basis' ? this.#oldDigest(live) : live.digest;
      if (live.state === 'wanted' || !known?.equals(row.digest))
        throw errorOf('BAD_MESSAGE', 'the source calls a file the same that is not');
      this.#countSkipped(live);
      this.#settle(live, OUTCOME.same, 'OK', row.digest, '');
    }
  }

  #countSkipped(live: LiveEntry<Folder>): void {
    const { counters } = this.#options;
    counters.bytes += live.entry.size;
    counters.bytesSkipped += live.entry.size;
  }

  #takeDiffers(header: FrameHeader, payload: Buffer): void {
    if (payload.length !== 0) throw errorOf('BAD_MESSAGE', 'a differs frame carries bytes');
    const live = this.#live(header);
    if (live.state === 'settled') return;
    if (live.state !== 'compare' && !(live.state === 'basis' && live.basis?.compare))
      throw errorOf('BAD_MESSAGE', 'the source compared what it was not asked to');
    this.#closeBasis(live);
    live.digest = undefined;
    try {
      if (live.place === 'never') throw errorOf('EXISTS');
      if (this.#options.dryRun) {
        this.#would(live, wouldOf(live.place));
        return;
      }
      this.#free = this.#store.freeBytes();
      this.#reserve(live, live.entry.size);
      live.state = 'wanted';
      const answer = makeFrame(FRAME.reanswer, encodeAnswers([{ code: ANSWER.send }]), header);
      this.#options.emit(answer);
    } catch (error) {
      this.#failEntry(live, error);
    }
  }

  #takeFailed(header: FrameHeader, payload: Buffer): void {
    const { flag, reason } = readFailed(payload);
    // Given up here, and its batch settled, while it was on its way.
    if (!this.#batches.has(header.batch) && header.batch < this.#nextBatch) return;
    const live = this.#live(header);
    if (live.state === 'settled') return;
    if (this.#current?.live === live) {
      this.#current.partial.keep();
      this.#current = undefined;
      live.basis = undefined;
    }
    this.#failEntry(live, errorOf(failureName(flag), reason));
  }

  #takeDone(payload: Buffer): void {
    const done = readDone(payload);
    const complete =
      done.batches === this.#nextBatch &&
      done.entries === this.#entries &&
      done.manifestDigest.equals(this.manifestDigest) &&
      (this.#lastSeen || this.#nextBatch === 0) &&
      this.#batches.size === 0 &&
      !this.#here;
    if (!complete) throw errorOf('BAD_MESSAGE', 'the source says that all was sent, and it was not');
    this.#options.counters.totalsKnown = true;
    this.finished = true;
  }

  // How entries end.

  /** The name that the source is told, where it is another than its own. */
  #renamed(name: SafeName | undefined, saved: SafeName): string {
    return saved === name || this.#options.blind ? '' : saved;
  }

  #failEntry(live: LiveEntry<Folder>, error: unknown): void {
    if (live.state === 'settled') return;
    this.#settle(live, OUTCOME.failed, flagOfError(error), NO_DIGEST, reasonOf(error));
  }

  #leaveOut(live: LiveEntry<Folder>, error: unknown): void {
    this.#settle(live, OUTCOME.skipped, flagOfError(error), NO_DIGEST, reasonOf(error));
  }

  #settle(live: LiveEntry<Folder>, outcome: OutcomeCode, flag: FlagName, digest: Buffer, note: string): void {
    if (live.state === 'later') this.#dropJob(live);
    live.state = 'settled';
    this.#use(live, live.reserved);
    this.#closeBasis(live);
    const { batch, entry } = live;
    if (entry.kind === ENTRY.file) this.#options.counters.files += 1;
    const result = encodeResult({
      index: live.index,
      outcome,
      flag: flagNumber(flag),
      digest,
      note: outcome === OUTCOME.committed ? encodeName(note) : cutText(note),
    });
    if (batch.resultBytes + result.length > RESULT_LIMIT) this.#flushResults(batch);
    batch.results.push(result);
    batch.resultBytes += result.length;
    if (entry.kind !== ENTRY.leave)
      batch.rows.push(settledRow(live.path, entry, live.size, outcome, flag, digest, note));
    batch.open -= 1;
    if (batch.open === 0) {
      this.#batches.delete(batch.number);
      this.#flushResults(batch);
    }
    this.#release(live.branch);
  }

  #flushResults(batch: LiveBatch<Folder>): void {
    if (batch.results.length === 0) return;
    const payload = Buffer.concat(batch.results);
    batch.results = [];
    batch.resultBytes = 0;
    this.#outcomeDigest.update(payload);
    this.#options.emit(makeFrame(FRAME.result, payload, { batch: batch.number }));
    this.#tellRows(batch);
  }

  #tellRows(batch: LiveBatch<Folder>): void {
    const { rows } = batch;
    batch.rows = [];
    if (rows.length > 0) this.#options.settled(rows);
  }

  /** One entry less is open in a folder; the last one sets its times, which writing into it would have changed. */
  #release(branch: Branch<Folder>): void {
    branch.pending -= 1;
    if (branch.pending > 0 || !branch.closed) return;
    this.#branches.delete(branch);
    if (branch.folder !== undefined) this.#store.leave(branch.folder, branch.closed);
    if (branch.parent) this.#release(branch.parent);
  }
}

/** Reported and left out, which is no failure: what can't be sent at all, and links out of the tree. */
function isLeftOut(entry: ManifestEntry, error: unknown): boolean {
  if (!(error instanceof LocalstreamError)) return false;
  if (entry.kind === ENTRY.failed) return error.code === 'NOT_A_FILE';
  return entry.kind === ENTRY.link && error.code === 'LEAVES_TREE';
}

/** A step of putting away, whose failure must not keep the rest from being put away. */
function tryTo(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
  }
}

function wouldOf(place: Placement['place']): 'overwrite' | 'rename' {
  return place === 'rename' ? 'rename' : 'overwrite';
}

function newBasis(compare: boolean, from: Basis['from']): Basis {
  return {
    compare,
    from,
    opened: false,
    partial: undefined,
    old: undefined,
    length: 0,
    position: 0,
    digest: createDigest(),
    digests: [],
    sent: 0,
  };
}

/** Bytes of a basis worth describing: whole pieces within both sizes, and the tail where the sizes agree. */
function describedBytes(held: number, size: number): number {
  if (held === size) return size;
  return Math.floor(Math.min(held, size) / PIECE_BYTES) * PIECE_BYTES;
}

/**
 * A path as people are told it. Bounded: a source could name a deep folder once, at length, and a million small things
 * in it, each of which would repeat it here.
 */
function shownPath(folder: string, name: string): string {
  const shown = name.length > MOST_NAME_BYTES ? `${name.slice(0, MOST_NAME_BYTES)}…` : name;
  if (folder === '') return shown;
  const above = folder.length > MOST_PATH_BYTES ? `${folder.slice(0, MOST_PATH_BYTES)}…` : folder;
  return `${above}/${shown}`;
}

function reasonOf(error: unknown): string {
  return error instanceof LocalstreamError ? error.message : 'it could not be written';
}

function decodeReason(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function settledRow(
  path: string,
  entry: ManifestEntry,
  bytes: number,
  outcome: OutcomeCode,
  flag: FlagName,
  digest: Buffer,
  note: string,
): Settled {
  const sound = outcome === OUTCOME.committed || outcome === OUTCOME.same;
  // By size and time alone nobody knows the digest.
  const there = entry.kind === ENTRY.file && sound && !digest.equals(NO_DIGEST);
  const kind: EntryKind = entry.kind;
  const size = entry.kind === ENTRY.file ? bytes : 0;
  return {
    path,
    kind,
    outcome,
    size,
    digest: there ? digest.toString('hex') : undefined,
    flag,
    linked: entry.linked ?? false,
    note,
  };
}
