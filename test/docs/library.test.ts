/** The pieces of code of docs/library.md, put together, are a program that runs to its end. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
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
