/** What the tests of the documents read out of Markdown. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** The checkout. */
export const ROOT = join(import.meta.dirname, '..', '..');

/** A fenced block: its language, the word behind it, and its lines. */
export interface Block {
  readonly language: string;
  readonly note: string;
  readonly lines: readonly string[];
}

/** A document, by its path in the checkout. */
export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The documents of the project: all Markdown that is tracked or new and not ignored. */
export function documents(): string[] {
  const listed = git('ls-files', '--cached', '--others', '--exclude-standard', '-z', '--', '*.md');
  return listed.split('\0').filter((path) => path !== '');
}

/** All files of the project, as {@link documents}. */
export function projectFiles(): Set<string> {
  return new Set(git('ls-files', '--cached', '--others', '--exclude-standard', '-z').split('\0'));
}

function git(...words: readonly string[]): string {
  return execFileSync('git', [...words], { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; note: string; lines: string[] } | undefined;
  for (const line of markdown.split('\n')) {
    const fence = /^```(\w*) ?(.*)$/.exec(line);
    if (open === undefined && fence) {
      open = { language: fence[1] ?? '', note: fence[2] ?? '', lines: [] };
      blocks.push(open);
    } else if (line === '```') open = undefined;
    else open?.lines.push(line);
  }
  return blocks;
}

/** What stands outside of fenced blocks. */
function proseOf(markdown: string): string {
  return markdown.replace(/^```[^\n]*\n[\s\S]*?^```$/gm, '');
}

/** Links to files and headings of the project: `path` within the checkout, and what follows `#`. */
export function relativeLinks(
  path: string,
): { readonly path: string; readonly heading: string | undefined }[] {
  const links = [...proseOf(textOf(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', heading] = target.split('#');
      return { path: file === '' ? path : posix.join(dirname(path), file), heading };
    });
}

/** The anchors of a document's headings, as the usual renderers make them. */
export function anchorsOf(path: string): Set<string> {
  const headings = [...proseOf(textOf(path)).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
