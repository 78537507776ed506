/** docs/library.md: its pieces of code are a program that runs to its end, and its list is what the sources say. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportedNames, libraryPage } from '../../scripts/library-page.ts';
import { environment, scratch } from '../cli/cli-process.ts';
import { blocksOf, ROOT, textOf } from './markdown.ts';

test('docs/library.md runs from top to bottom', async () => {
  const { folder } = scratch();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'localstream'), 'dir');
  const code = blocksOf(textOf('docs/library.md'))
    .filter(({ language }) => language === 'ts')
    .flatMap(({ lines }) => lines);
  writeFileSync(join(folder, 'program.mts'), code.join('\n'));
  const child = spawn(process.execPath, ['program.mts'], {
    cwd: folder,
    env: environment(join(folder, 'unused-home')),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(status, 0, text);
  assert.match(text, /^nas X25519MLKEM768 TLS_AES_256_GCM_SHA384$/m);
  assert.match(text, /^file 6 a\.txt$/m);
  assert.match(text, /^committed trip\/b\.txt [0-9a-f]{64}$/m);
  assert.match(text, /^hello\n there\n$/m);
  assert.match(text, /^true$/m);
  assert.match(text, /^NOT_FOUND 1 /m);
});

test('docs/library.md lists every exported name as the sources have it', () => {
  assert.equal(textOf('docs/library.md'), libraryPage(), 'run node scripts/library-page.ts');
});

test('every exported name is explained', () => {
  const names = exportedNames();
  for (const { name, about } of names) assert.ok(about, `${name} has no TSDoc`);
  for (const wanted of ['openLocalstream', 'Localstream', 'Session', 'Listener', 'Receipt', 'AlarmError']) {
    assert.ok(
      names.some(({ name }) => name === wanted),
      wanted,
    );
  }
});
