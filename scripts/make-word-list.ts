/**
 * Writes `src/crypto/word-list.ts` from the file that its argument names: EFF's second short list, one word a line, as
 * Debian's package `xkcdpass` ships it (`static/eff-special`).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LINE = 108;

const [source] = process.argv.slice(2);
if (source === undefined) throw new Error('name the file with the words');
const words = readFileSync(source, 'utf8')
  .split('\n')
  // A dash parts the words of a code.
  .map((word) => word.trim().replaceAll('-', ''))
  .filter((word) => word !== '')
  .sort();

const lines = [''];
for (const word of words) {
  const line = lines.at(-1) ?? '';
  if (line.length + word.length + 1 > LINE) lines.push(word);
  else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
}

writeFileSync(
  join(import.meta.dirname, '../src/crypto/word-list.ts'),
  `/**
 * The words of pairing codes: the second of the short lists for dice that the Electronic Frontier Foundation published in
 * 2016 (https://www.eff.org/dice), under the Creative Commons Attribution licence 3.0 US
 * (https://creativecommons.org/licenses/by/3.0/us/). The dash of one word was left out. Three letters name each word.
 * Written by scripts/make-word-list.ts.
 */
const TEXT = \`
${lines.join('\n')}
\`;

/** ${words.length} words of lower-case letters, sorted. */
export const pairingWords: readonly string[] = TEXT.trim().split(/\\s/);
`,
);
