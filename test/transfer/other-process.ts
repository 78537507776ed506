/** What the tests of the transfer's files have done by another process. */
import { lstatSync, mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LocalstreamError, systemCode } from '../../src/errors.ts';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName } from '../../src/transfer/name.ts';
import { SourceFile } from '../../src/transfer/source-file.ts';
import { SourceRoot } from '../../src/transfer/source-root.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import { walk } from '../../src/transfer/walk.ts';
import { transfer } from './engine-run.ts';
import { namesIn, receive } from './workplace.ts';

const [action, place = '', ...rest] = process.argv.slice(2);
/** Synchronous, so that what was said before a kill has arrived. */
const say = (value: unknown) => void writeSync(1, `${JSON.stringify(value)}\n`);

function becomeNobody(): void {
  process.setgroups?.([]);
  process.setgid?.(65534);
  process.setuid?.(65534);
}

/** Says what an action gives, or the code and message of what it throws. */
function tell(step: () => unknown): void {
  try {
    say({ value: step() });
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    say({ code: error.code, message: error.message });
  }
}

function walked(path: string): string[] {
  using root = SourceRoot.named(path);
  return [...walk(root)].map((entry) => {
    const text = `${entry.type} ${entry.path.join('/')}`;
    return entry.type === 'failed' ? `${text} ${entry.error.code}` : text;
  });
}

/** The parent of the files under way is now a folder and now a link to another place, as fast as it can. */
function swap(): void {
  const victim = join(place, 'victim');
  const aside = join(place, 'aside');
  say({});
  for (;;) {
    renameSync(victim, aside);
    symlinkSync('../outside', victim);
    unlinkSync(victim);
    renameSync(aside, victim);
    // Long enough in place for some rounds to find it there.
    for (let look = 0; look < 30; look += 1) lstatSync(victim);
  }
}

/** A folder in a folder that somebody removes: filled again and again, and swapped for a link to another place. */
function rebuild(): void {
  const victim = join(place, 'top', 'victim');
  const aside = join(place, 'aside');
  const steps = [
    () => mkdirSync(victim, { recursive: true }),
    () => writeFileSync(join(victim, 'file'), 'x'),
    () => renameSync(victim, aside),
    () => symlinkSync('../../outside', victim),
    () => unlinkSync(victim),
    () => renameSync(aside, victim),
  ];
  say({});
  for (;;) {
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        // It was removed at that very moment, or not yet.
        if (systemCode(error) === undefined) throw error;
      }
    }
  }
}

/** Replaces one file over and over, by `a…` and `b…` in turn. */
function replaceForever(): void {
  using root = Folder.open(place);
  const target = checkName('target');
  say({});
  for (let round = 0; ; round += 1) {
    const first = round % 3 === 0;
    if (first && root.lookup(target) !== undefined) root.unlink(target);
    const content = Buffer.alloc(200_000, round % 2 === 0 ? 'a' : 'b');
    using file = TargetFile.open(root, target, { size: content.length, basis: 'none' });
    for (let offset = 0; offset < content.length; offset += 20_000)
      file.writeAt(content.subarray(offset, offset + 20_000), offset);
    file.commit({ mode: 0o644, mtime: 0, policy: first ? 'fail' : 'overwrite' });
  }
}

function hold(): void {
  const file = TargetFile.open(Folder.open(place), checkName(rest[0] ?? ''), { size: 1000 });
  file.writeAt(Buffer.from(rest[1] ?? ''), 0);
  say({});
  setInterval(() => {}, 1000);
}

/** Writes three times, of which the caller lets some fail, and commits. */
function writeThrice(): unknown {
  using root = Folder.open(place);
  const outcomes: unknown[] = [];
  const file = TargetFile.open(root, checkName('target'), { size: 3 });
  const steps = [0, 1, 2].map((at) => () => file.writeAt(Buffer.from('x'), at));
  for (const step of [...steps, () => file.commit({ mode: 0o600, mtime: 0, policy: 'fail' })]) {
    try {
      step();
      outcomes.push('done');
    } catch (error) {
      outcomes.push(error instanceof LocalstreamError ? error.code : String(error));
    }
  }
  file.discard();
  return { outcomes, names: namesIn(place) };
}

/** As another user, commits a file once it is told to. */
function commitLater(): void {
  becomeNobody();
  const file = TargetFile.open(Folder.open(place), checkName('target'), { size: 1 });
  file.writeAt(Buffer.from('x'), 0);
  say({});
  process.stdin.once('data', () => tell(() => file.commit({ mode: 0o600, mtime: 0, policy: 'fail' })));
}

/** The name of a file that not even its owner may write is taken when it is whole; then it is free, and received again. */
function receiveTwice(): unknown {
  using root = Folder.open(place);
  const target = join(place, 'target');
  const first = TargetFile.open(root, checkName('target'), { size: 1 });
  first.writeAt(Buffer.from('x'), 0);
  writeFileSync(target, 'theirs');
  const codes: string[] = [];
  try {
    first.commit({ mode: 0o444, mtime: 0, policy: 'fail' });
  } catch (error) {
    if (error instanceof LocalstreamError) codes.push(error.code);
  }
  first.keep();
  unlinkSync(target);
  return { codes, name: receive(root, 'target', 'y'), names: namesIn(place) };
}

function readAll(): unknown {
  using root = Folder.open(place);
  using file = SourceFile.open(root, checkName(rest[0] ?? ''));
  const bytes = Buffer.alloc(file.size);
  const count = file.readAt(bytes, 0);
  return { count, text: bytes.toString('latin1') };
}

switch (action) {
  case 'swap':
    swap();
    break;
  case 'rebuild':
    rebuild();
    break;
  case 'replace-forever':
    replaceForever();
    break;
  case 'hold':
    hold();
    break;
  case 'write-thrice':
    tell(writeThrice);
    break;
  case 'read':
    tell(readAll);
    break;
  case 'receive':
    tell(() =>
      receive(Folder.open(place), rest[0] ?? '', rest[1] ?? '', {
        policy: rest[2] === 'rename' ? 'rename' : 'fail',
      }),
    );
    break;
  case 'receive-big':
    tell(() => receive(Folder.open(place), 'big', Buffer.alloc(2 * 1024 * 1024)));
    break;
  case 'receive-tree':
    tell(() => {
      const target = rest[0] ?? '';
      return transfer({ sources: [place], target, place: { durable: true } }).finished;
    });
    break;
  case 'nobody-commits':
    commitLater();
    break;
  case 'nobody-receives':
    becomeNobody();
    tell(() => receive(Folder.open(place), rest[0] ?? '', rest[1] ?? ''));
    break;
  case 'nobody-receives-twice':
    becomeNobody();
    tell(receiveTwice);
    break;
  case 'nobody-walks':
    becomeNobody();
    tell(() => walked(place));
    break;
  case 'nobody-reads':
    becomeNobody();
    tell(() => readAll());
    break;
  default:
    throw new Error(`no such action: ${action}`);
}
