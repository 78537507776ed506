/**
 * What the source is answered to an entry that may be received: what is there already, and what the policy makes of it.
 */
import { digestOf } from '../crypto/digest.ts';
import { errorOf } from '../errors.ts';
import { PIECE_BYTES } from '../protocol/frame.ts';
import {
  ANSWER,
  type Answer,
  ENTRY,
  type ManifestEntry,
  NO_DIGEST,
  OUTCOME,
  type OutcomeCode,
} from '../protocol/manifest.ts';
import type { BasisJobs } from './basis-jobs.ts';
import type { DiskBudget } from './disk-budget.ts';
import { freeNames } from './free-name.ts';
import { checkLinkTarget } from './link.ts';
import type { ManifestFolders } from './manifest-folders.ts';
import { decodeName, type SafeName } from './name.ts';
import { refusePartialName } from './partial.ts';
import type { PieceBuffer } from './piece-buffer.ts';
import { isRemnant } from './publish.ts';
import { type Branch, failureOf, type LiveEntry, roomOf } from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import type { Settlement } from './settlement.ts';
import type { Present, TargetStore } from './target-store.ts';

/** Copies of one file, under names of their own, that are looked at. */
const MOST_COPIES = 100;

/** What the answers are made from. */
interface Parts<Folder> {
  readonly folders: ManifestFolders<Folder>;
  readonly settlement: Settlement<Folder>;
  readonly bases: BasisJobs<Folder>;
  readonly budget: DiskBudget;
  readonly scratch: PieceBuffer;
}

/** Decides on folders, links and files. What an answer settles at once is settled after the answers of its batch. */
export class EntryAnswers<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #options: ReceiverOptions;
  readonly #folders: ManifestFolders<Folder>;
  readonly #settlement: Settlement<Folder>;
  readonly #bases: BasisJobs<Folder>;
  readonly #budget: DiskBudget;
  readonly #scratch: PieceBuffer;

  constructor(store: TargetStore<Folder>, options: ReceiverOptions, parts: Parts<Folder>) {
    this.#store = store;
    this.#options = options;
    this.#folders = parts.folders;
    this.#settlement = parts.settlement;
    this.#bases = parts.bases;
    this.#budget = parts.budget;
    this.#scratch = parts.scratch;
  }

  /** The answer to an entry that belongs under a name in an open folder. Throws what makes it fail. */
  answer(live: LiveEntry<Folder>, folder: Folder, name: SafeName): Answer {
    if (live.entry.kind === ENTRY.folder) return this.#answerFolder(live, folder, name);
    const earlier = this.#store.renamed(live.path);
    if (earlier !== undefined && this.#isThere(live, folder, earlier)) {
      live.saved = earlier;
      if (live.entry.kind === ENTRY.link) return this.#settled(live, OUTCOME.same);
      live.place = 'rename';
      return this.#describe(live, folder, earlier, live.entry.size, true);
    }
    const present = this.#options.blind ? undefined : this.#store.present(folder, name);
    if (live.entry.kind === ENTRY.link) return this.#answerLink(live, folder, name, present);
    const isLost = present?.kind === 'file' && isRemnant(present, live.entry);
    return this.#answerFile(live, folder, name, isLost ? undefined : present);
  }

  /** The answer of a dry run to an entry in a folder that a real one would have made. */
  wouldCreate(live: LiveEntry<Folder>): Answer {
    if (live.entry.kind === ENTRY.folder) this.#folders.descend(live, {});
    return this.#would(live, false);
  }

  #answerFolder(live: LiveEntry<Folder>, folder: Folder, name: SafeName): Answer {
    refusePartialName(name);
    const { blind, dryRun } = this.#options;
    const { mode } = live.entry;
    if (dryRun) {
      const there = blind ? undefined : this.#store.peek(folder, name);
      if (there === undefined) return this.wouldCreate(live);
      this.#folders.descend(live, { folder: there });
      return this.#settled(live, OUTCOME.same);
    }
    if (blind) {
      const earlier = this.#store.renamed(live.path);
      if (earlier !== undefined && this.#store.present(folder, earlier)?.kind === 'folder') {
        live.name = earlier;
        live.saved = earlier;
        this.#folders.descend(live, { ...this.#store.enter(folder, earlier, mode), created: true });
        return this.#settled(live, OUTCOME.same);
      }
      // What others left is neither entered nor told of.
      const made = this.#store.enterNew(folder, name, mode);
      live.name = made.name;
      live.saved = made.name;
      this.#folders.descend(live, { folder: made.folder, created: true });
      return this.#settled(live, OUTCOME.committed);
    }
    const entered = this.#store.enter(folder, name, mode);
    const branch = this.#folders.descend(live, entered);
    live.batch.afterAnswers.push(() => {
      const settle = () => this.#settleFolder(live, branch, entered);
      if (branch.expectsFiles && this.#store.isUnmade(entered.folder)) branch.settleFirst = settle;
      else settle();
    });
    return { code: ANSWER.skip };
  }

  /** A folder is made now at the latest: at once where nothing comes into it yet, otherwise as its first file is settled. */
  #settleFolder(
    live: LiveEntry<Folder>,
    branch: Branch<Folder>,
    { folder, created }: ReturnType<TargetStore<Folder>['enter']>,
  ): void {
    try {
      if (this.#store.isUnmade(folder)) this.#store.make(folder);
      this.#settlement.settle(live, created ? OUTCOME.committed : OUTCOME.same, 'OK', NO_DIGEST, '');
    } catch (error) {
      branch.failure = failureOf(error);
      this.#settlement.fail(live, error);
    }
  }

  /** Whether what an earlier part of the transfer has left under a name may be this. */
  #isThere(live: LiveEntry<Folder>, folder: Folder, name: SafeName): boolean {
    const present = this.#store.present(folder, name);
    if (live.entry.kind === ENTRY.link)
      return (
        present?.kind === 'link' && this.#store.linkTarget(folder, name) === decodeName(live.entry.extra)
      );
    return present?.kind === 'file' && present.size === live.entry.size;
  }

  #answerLink(live: LiveEntry<Folder>, folder: Folder, name: SafeName, present: Present | undefined): Answer {
    const target = decodeName(live.entry.extra);
    checkLinkTarget(target, live.branch.depth);
    if (present?.kind === 'link' && this.#store.linkTarget(folder, name) === target)
      return this.#settled(live, OUTCOME.same);
    if (present && this.#policy(live, present) === 'skip') return this.#skip(live);
    const isSame = (other: SafeName, { kind }: Present) =>
      kind === 'link' && this.#store.linkTarget(folder, other) === target;
    live.saved = present && this.#copyOf(folder, name, isSame);
    if (live.saved !== undefined) return this.#settled(live, OUTCOME.same);
    if (present && live.place === 'never') throw errorOf('EXISTS');
    if (this.#options.dryRun) return this.#would(live, present !== undefined);
    const { mode, mtime } = live.entry;
    const saved = this.#store.link(folder, name, target, { mode, mtime, place: live.place });
    live.batch.afterAnswers.push(() => this.#settlement.commit(live, saved, NO_DIGEST));
    return { code: ANSWER.skip };
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

  /** What the policy makes of something that is there, and how the new file may take its place. */
  #policy(live: LiveEntry<Folder>, present: Present): 'skip' | 'compare' | 'patch' {
    const { existing } = this.#options;
    const unlessOurs = isEarlier(present, live.entry) ? 'compare' : 'skip';
    if (present.kind === 'folder') throw errorOf('IS_A_FOLDER', 'a folder of that name is there');
    // Under no policy, so that none is advised.
    if (present.kind === 'other')
      throw errorOf('NOT_A_FILE', 'a pipe, a device or a socket has that name, and is not replaced');
    switch (existing) {
      case 'skip':
        return unlessOurs;
      case 'update':
        if (present.mtime >= live.entry.mtime) return unlessOurs;
        live.place = 'update';
        return 'patch';
      case 'overwrite':
        return 'patch';
      default:
        if (present.kind === 'file') live.there = { size: present.size, mtime: present.mtime };
        return 'compare';
    }
  }

  #answerFile(live: LiveEntry<Folder>, folder: Folder, name: SafeName, present: Present | undefined): Answer {
    const { size } = live.entry;
    const unread = this.#options.trustMtime && present?.kind === 'file' && present.size === size;
    if (unread && present.mtime === live.entry.mtime) {
      this.#settlement.countSkipped(live);
      return this.#settled(live, OUTCOME.same);
    }
    const compare = present ? this.#policy(live, present) : 'patch';
    if (compare === 'skip') return this.#skip(live);
    if (present && compare === 'compare') {
      // By size and time it is only found: the digest decides.
      const isIt = (_: SafeName, other: Present) =>
        other.kind === 'file' && other.size === size && other.mtime === live.entry.mtime;
      const copy = this.#copyOf(folder, name, isIt);
      live.saved = copy;
      if (copy !== undefined) return this.#describe(live, folder, copy, size, true);
      if (present.kind === 'file' && present.size === size)
        return this.#describe(live, folder, name, size, true);
      if (live.place === 'never') throw errorOf('EXISTS');
    }
    if (this.#options.dryRun) {
      if (present?.kind === 'file' && present.size === size)
        return this.#describe(live, folder, name, size, true);
      return this.#would(live, present !== undefined);
    }
    const large = size > PIECE_BYTES && present !== undefined && present.size > PIECE_BYTES;
    const replaces = live.place === 'replace' || live.place === 'update';
    const alike = present?.kind === 'file' && replaces && (present.size === size || large);
    const old = alike && size >= 0;
    // What a partial holds need not be set aside: how much that is shows when it is opened.
    if (size >= 0 && !this.#options.blind && this.#store.hasPartial(folder, name))
      return this.#bases.start(live, { partial: true, old: old && large ? name : undefined }, false);
    this.#budget.reserve(live, roomOf(live.entry));
    if (old) return this.#describe(live, folder, name, size, false);
    live.branch.expectsFiles = true;
    return { code: ANSWER.send };
  }

  /** Answers with what the old target has: its digest at once where it is one piece, otherwise piece by piece. */
  #describe(live: LiveEntry<Folder>, folder: Folder, name: SafeName, size: number, compare: boolean): Answer {
    if (size > PIECE_BYTES) return this.#bases.start(live, { partial: false, old: name }, compare);
    const old = this.#store.openBasis(folder, name);
    try {
      const bytes = this.#scratch.take(size);
      const whole = old.readAt(bytes, 0) === size;
      live.digest = whole ? digestOf(bytes) : NO_DIGEST;
      live.state = compare ? 'compare' : 'have';
      return { code: compare ? ANSWER.compare : ANSWER.have, digest: live.digest };
    } finally {
      old.close();
    }
  }

  #settled(live: LiveEntry<Folder>, outcome: OutcomeCode): Answer {
    live.batch.afterAnswers.push(() => this.#settlement.settleSound(live, outcome, NO_DIGEST));
    return { code: ANSWER.skip };
  }

  /** The policy leaves alone what is there. */
  #skip(live: LiveEntry<Folder>): Answer {
    live.batch.afterAnswers.push(() => this.#settlement.leaveAlone(live));
    return { code: ANSWER.skip };
  }

  #would(live: LiveEntry<Folder>, isThere: boolean): Answer {
    live.batch.afterAnswers.push(() => this.#settlement.would(live, isThere));
    return { code: ANSWER.skip };
  }
}

/** Whether a file that is there may have come by an earlier part of this transfer: then it is done, and not left out. */
function isEarlier({ kind, size, mtime, mayBeEarlier }: Present, entry: ManifestEntry): boolean {
  return (
    mayBeEarlier &&
    kind === 'file' &&
    entry.kind === ENTRY.file &&
    size === entry.size &&
    mtime === entry.mtime
  );
}
