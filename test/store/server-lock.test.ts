import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LocalstreamError } from '../../src/errors.ts';
import { resolveHome } from '../../src/store/home.ts';
import { holdServerLock } from '../../src/store/server-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'localstream-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function refusal(name: string): Promise<string | undefined> {
  try {
    using _lock = await holdServerLock(resolveHome({}, join(folder, name)));
    return undefined;
  } catch (error) {
    assert.ok(error instanceof LocalstreamError, String(error));
    return error.code;
  }
}

test('one holds the lock of a home until it lets go', async () => {
  const home = resolveHome({}, join(folder, 'one'));
  {
    using _lock = await holdServerLock(home);
    for (const file of [home.serverLock, `${home.serverLock}-journal`])
      assert.equal(statSync(file).mode & 0o777, 0o600, file);
    assert.equal(await refusal('one'), 'SERVER_RUNNING');
    assert.equal(await refusal('another'), undefined, 'another home has its own');
  }
  assert.equal(await refusal('one'), undefined);
});

test('a process that is stopped keeps it, and one that is killed does not', async () => {
  const source = new URL('../../src/store/server-lock.ts', import.meta.url).href;
  const homes = new URL('../../src/store/home.ts', import.meta.url).href;
  const script = `
    const { holdServerLock } = await import(${JSON.stringify(source)});
    const { resolveHome } = await import(${JSON.stringify(homes)});
    globalThis.lock = await holdServerLock(resolveHome({}, ${JSON.stringify(join(folder, 'killed'))}));
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    assert.equal(await refusal('killed'), 'SERVER_RUNNING');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  assert.equal(await refusal('killed'), undefined);
});

test('what is no lock file is left alone, and said', async () => {
  const home = resolveHome({}, join(folder, 'strange'));
  assert.equal(await refusal('strange'), undefined);
  writeFileSync(home.serverLock, 'this is something else, and long enough to be looked at'.repeat(20));
  assert.equal(await refusal('strange'), 'STATE');
});
