/** The examples run as they stand, one process a side. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { environment, freePort, run, scratch, start as startProgram } from '../cli/cli-process.ts';
import { ROOT } from './markdown.ts';

const { folder, server, client } = scratch();

interface Example extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything that was printed, so far. */
  readonly text: () => string;
  until(pattern: RegExp): Promise<string>;
  readonly ended: Promise<number | null>;
}

function start(name: string, words: readonly string[], home: string): Example {
  const child = spawn(process.execPath, [join(ROOT, 'docs', 'examples', name), ...words], {
    cwd: folder,
    env: environment(home),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      for (const watcher of watchers) watcher();
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const until = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(text);
        if (!found) return;
        watchers.delete(look);
        resolve(found[1] ?? found[0]);
      };
      watchers.add(look);
      look();
      void ended.then(() => reject(new Error(`${name} ended without ${pattern}:\n${text}`)));
    });
  const dispose = async () => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await ended;
  };
  return { child, text: () => text, until, ended, [Symbol.asyncDispose]: dispose };
}

test('serve.ts and fetch.ts meet, compare the number, and move files', async () => {
  const shared = join(folder, 'shared');
  const taken = join(folder, 'taken');
  for (const path of [join(shared, 'tree', 'empty'), taken]) mkdirSync(path, { recursive: true });
  writeFileSync(join(shared, 'a.txt'), 'hello\n');
  writeFileSync(join(shared, 'tree', 'b.txt'), 'there\n');
  const port = String(await freePort());
  await using serve = start('serve.ts', [shared, '--port', port, '--host', '127.0.0.1'], server);
  await serve.until(/listening on port \d+ as SHA256:/);

  await using first = start('fetch.ts', ['127.0.0.1', port, '/files/a.txt', 'taken/'], client);
  const here = await first.until(/check number (\d{6})/);
  const there = await serve.until(/check number (\d{6})/);
  assert.equal(here, there);
  await first.until(new RegExp(`asks its operator about ${here}`));
  serve.child.stdin?.write('yes\n');
  first.child.stdin?.write('yes\n');
  assert.equal(await first.ended, 0, first.text());
  assert.equal(readFileSync(join(taken, 'a.txt'), 'utf8'), 'hello\n');
  assert.match(first.text(), /file +6 a\.txt/);
  const digest = await first.until(/committed a\.txt ([0-9a-f]{64})/);
  await serve.until(new RegExp(`send: 1 files, 6 bytes, ${digest}`));

  await using second = start('fetch.ts', ['127.0.0.1', port, '/files/tree', 'taken/'], client);
  assert.equal(await second.ended, 0, second.text());
  assert.doesNotMatch(second.text(), /check number/, 'nobody is asked twice');
  assert.equal(readFileSync(join(taken, 'tree', 'b.txt'), 'utf8'), 'there\n');

  writeFileSync(join(taken, 'a.txt'), 'mine\n');
  await using differs = start('fetch.ts', ['127.0.0.1', port, '/files/a.txt', 'taken/'], client);
  assert.equal(await differs.ended, 5, differs.text());
  assert.equal(readFileSync(join(taken, 'a.txt'), 'utf8'), 'mine\n');

  await using missing = start('fetch.ts', ['127.0.0.1', port, '/files/none', 'taken/'], client);
  assert.equal(await missing.ended, 1, missing.text());
  assert.match(missing.text(), /^NOT_FOUND: /m);

  await using stranger = start('fetch.ts', ['127.0.0.1', port, '/', 'taken/'], join(folder, 'other-home'));
  await stranger.until(/asks its operator/);
  stranger.child.stdin?.write('yes\n');
  serve.child.stdin?.write('no\n');
  assert.equal(await stranger.ended, 3, stranger.text());
  assert.match(stranger.text(), /ask the operator/);

  serve.child.kill('SIGTERM');
  assert.equal(await serve.ended, 0, serve.text());
  await using nobody = start('fetch.ts', ['127.0.0.1', port, '/files/a.txt', 'taken/'], client);
  assert.equal(await nobody.ended, 4, nobody.text());
  assert.match(nobody.text(), /try again later/);
});

test('send.ts offers a file to several machines, and says what each of them answered', async () => {
  const homes = [join(folder, 'first-home'), join(folder, 'second-home')];
  const mine = (await run(['identity'], { home: client })).stdout.split(' ')[0] ?? '';
  const places: string[] = [];
  const listening = [];
  for (const [index, home] of homes.entries()) {
    const key = (await run(['identity'], { home })).stdout.split(' ')[0] ?? '';
    if (index === 0) await run(['trust', mine], { home });
    const port = String(await freePort());
    places.push('127.0.0.1', port, key);
    const rule = ['--offers', 'trusted', '--open', '--max', '3', '--host', '127.0.0.1', '--port', port];
    const running = startProgram(['serve', ...rule], { home });
    listening.push(running);
    await running.until(/listening on/);
  }
  writeFileSync(join(folder, 'news.txt'), 'hello\n');
  await using sending = start('send.ts', ['news.txt', ...places], client);
  assert.equal(await sending.ended, 5, sending.text());
  assert.match(sending.text(), /^127\.0\.0\.1:\d+: 1 files, 6 bytes, signed by SHA256:/m);
  assert.match(sending.text(), /refused: NOT_ALLOWED/);
  assert.equal(readFileSync(join(homes[0] ?? '', 'inbox', 'news.txt'), 'utf8'), 'hello\n');
  for (const { child, ended } of listening) {
    child.kill('SIGTERM');
    await ended;
  }
});
