/**
 * What a transfer must come to, said in the plainest way: a function from what is sent, what is there and the policy to
 * what is there afterwards and what each entry is told to have become.
 */
import type { FlagName } from '../../src/errors.ts';
import { OUTCOME, type OutcomeCode } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy } from '../../src/protocol/messages.ts';
import { freeNames } from '../../src/transfer/free-name.ts';
import { checkName, decodeName, encodeName } from '../../src/transfer/name.ts';
import type { Seen } from './engine-tree.ts';

/** An entry after the transfer; `moved` counts those whose bytes crossed. */
export interface Expected {
  readonly outcome: OutcomeCode;
  readonly flag: FlagName;
  /** It is stored under another name than its own. */
  readonly renamed: boolean;
}

export interface Prediction {
  /** By path, latin1. */
  readonly tree: Map<string, Seen>;
  readonly outcomes: Map<string, Expected>;
  /** Entries that are saved under a free name: their paths, and what must be found under the name. */
  readonly renamed: Map<string, Seen>;
}

/** Rounded down to a microsecond, which is as fine as Node sets times. */
export const microseconds = (nanoseconds: bigint): bigint => {
  const rest = ((nanoseconds % 1000n) + 1000n) % 1000n;
  return nanoseconds - rest;
};

function leavesTree(target: string, depth: number): boolean {
  if (target === '' || target.startsWith('/') || target.startsWith('\\')) return true;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const names = parts.findIndex((part) => part !== '..');
  const front = names < 0 ? parts.length : names;
  return parts.slice(front).includes('..') || front >= depth;
}

/** Whether an earlier transfer stored this under one of the names in place of its own. */
function storedCopy(path: string, sent: Seen, existing: ReadonlyMap<string, Seen>): boolean {
  const start = path.lastIndexOf('/') + 1;
  const name = checkName(decodeName(Buffer.from(path.slice(start), 'latin1')));
  for (const other of freeNames(name)) {
    const there = existing.get(path.slice(0, start) + encodeName(other).toString('latin1'));
    if (!there) return false;
    const alike = there.kind === sent.kind && there.size === sent.size;
    // The first of the same size and time is compared, and no other.
    if (sent.kind === 'file' && alike && microseconds(there.mtime) === microseconds(sent.mtime))
      return there.value === sent.value;
    if (sent.kind === 'link' && alike && there.value === sent.value) return true;
  }
  return false;
}

/** `source` and `existing` are surveys; `roots` are the names at the top that are sent. */
export function predict(
  source: ReadonlyMap<string, Seen>,
  existing: ReadonlyMap<string, Seen>,
  policy: ExistingPolicy,
): Prediction {
  const tree = new Map(existing);
  const outcomes = new Map<string, Expected>();
  const renamed = new Map<string, Seen>();
  const blocked = new Map<string, FlagName>();
  /** Folders that get the mode that is sent. */
  const withOwnMode = new Set<string>();
  const settle = (path: string, outcome: OutcomeCode, flag: FlagName = 'OK', other = false): void =>
    void outcomes.set(path, { outcome, flag, renamed: other });

  for (const [path, sent] of source) {
    const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
    const there = existing.get(path);
    const depth = path.split('/').length - 1;
    // The sender itself leaves these out.
    if (sent.kind === 'link' && leavesTree(sent.value, depth)) {
      settle(path, OUTCOME.skipped, 'LEAVES_TREE');
      continue;
    }
    const blockedBy = blocked.get(parent);
    if (blockedBy !== undefined) {
      if (sent.kind === 'folder') blocked.set(path, blockedBy);
      settle(path, OUTCOME.failed, blockedBy);
      continue;
    }
    const asSent = { ...sent, mode: sent.mode & 0o777, mtime: microseconds(sent.mtime) };
    if (sent.kind === 'folder') {
      if (there && there.kind !== 'folder') {
        blocked.set(path, 'NOT_A_FOLDER');
        settle(path, OUTCOME.failed, 'NOT_A_FOLDER');
        continue;
      }
      // What the user has keeps its mode, unless overwriting was asked for; what was chosen as the target keeps it always.
      const keeps = there && (policy !== 'overwrite' || depth === 0);
      if (!keeps) withOwnMode.add(path);
      // Folders of a group hand their setgid on: that is this system's doing, not the sender's.
      const inherited = ((there ?? tree.get(parent))?.mode ?? 0) & 0o2000;
      tree.set(path, { ...asSent, mode: keeps ? there.mode : asSent.mode | inherited });
      settle(path, there ? OUTCOME.same : OUTCOME.committed);
      continue;
    }
    if (!there) {
      tree.set(path, asSent);
      settle(path, OUTCOME.committed);
      continue;
    }
    if (there.kind === 'folder') {
      settle(path, OUTCOME.failed, 'IS_A_FOLDER');
      continue;
    }
    // What a power cut has left of it.
    const isHollow = there.kind === 'file' && sent.kind === 'file' && there.size === 0 && sent.size > 0;
    if (isHollow && microseconds(there.mtime) === asSent.mtime) {
      tree.set(path, asSent);
      settle(path, OUTCOME.committed);
      continue;
    }
    const identical = there.kind === sent.kind && there.value === sent.value;
    // A link costs nothing to compare; a file that is to be skipped is not read.
    if (identical && sent.kind === 'link') {
      settle(path, OUTCOME.same);
      continue;
    }
    if (policy === 'skip' || (policy === 'update' && microseconds(there.mtime) >= microseconds(sent.mtime))) {
      settle(path, OUTCOME.skipped, 'EXISTS');
      continue;
    }
    if (identical || (policy === 'rename' && storedCopy(path, sent, existing))) settle(path, OUTCOME.same);
    else if (policy === 'fail') settle(path, OUTCOME.failed, 'EXISTS');
    else if (policy === 'rename') {
      renamed.set(path, asSent);
      settle(path, OUTCOME.committed, 'OK', true);
    } else {
      tree.set(path, asSent);
      settle(path, OUTCOME.committed);
    }
  }
  // Where something failed, the same command has to be able to write once more.
  for (const [path, { outcome }] of outcomes) {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    const folder = tree.get(parent);
    if (outcome === OUTCOME.failed && folder && withOwnMode.has(parent))
      tree.set(parent, { ...folder, mode: folder.mode | 0o700 });
  }
  return { tree, outcomes, renamed };
}
