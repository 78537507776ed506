import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadSettings, setSetting } from '../../src/store/settings-store.ts';
import { temporaryHome, warnings } from './temporary-home.ts';

test('a setting that is set is loaded, in the home file and nowhere else', async (t) => {
  const home = temporaryHome(t);
  assert.equal(await setSetting(home, 'chunk', '64K'), 65_536);
  assert.equal(await setSetting(home, 'keepAlive.silence', '1m'), 60_000);
  const { settings, origins } = await loadSettings({ home, env: {} });
  assert.deepEqual([settings.chunk, settings.keepAlive.silence], [65_536, 60_000]);
  assert.deepEqual(origins.get('chunk'), { layer: 'file', place: home.settingsFile });
  assert.equal(await setSetting(home, 'chunk', undefined), undefined);
  assert.equal((await loadSettings({ home, env: {} })).settings.chunk, 1_048_576);
});

test('setting keeps what it does not know, and refuses what is wrong without a trace', async (t) => {
  const home = temporaryHome(t);
  const content = '\uFEFF{ "future.setting": [1], "port": 1 }';
  writeFileSync(home.settingsFile, content, { mode: 0o600 });
  await assert.rejects(setSetting(home, 'port', '70000'), { code: 'BAD_SETTING' });
  await assert.rejects(setSetting(home, 'prot', '1'), { code: 'BAD_SETTING', message: /did you mean port/ });
  assert.equal(readFileSync(home.settingsFile, 'utf8'), content);
  await setSetting(home, 'port', 2);
  assert.deepEqual(JSON.parse(readFileSync(home.settingsFile, 'utf8')), { 'future.setting': [1], port: 2 });
});

test('two that set at once both do', async (t) => {
  const home = temporaryHome(t);
  await Promise.all([
    setSetting(home, 'port', 1),
    setSetting(home, 'lanes', 2),
    setSetting(home, 'chunk', 2048),
  ]);
  assert.deepEqual(JSON.parse(readFileSync(home.settingsFile, 'utf8')), { port: 1, lanes: 2, chunk: 2048 });
});

test('a broken file never stops the start: it is set aside with a warning', async (t) => {
  const home = temporaryHome(t);
  for (const content of ['', '{"port": 1', 'port = 1', '[1]', 'null']) {
    writeFileSync(home.settingsFile, content, { mode: 0o600 });
    const { warn, told } = warnings();
    assert.equal((await loadSettings({ home, env: {}, warn })).settings.port, 7353, content);
    assert.match(told.join(), /config\.json can't be used .*kept as .*\.broken-/);
  }
  assert.equal(readdirSync(home.config).filter((name) => name.startsWith('config.json.broken-')).length, 5);
});

test('a wrong line costs only itself', async (t) => {
  const home = temporaryHome(t);
  const content = '{"port": 99999, "chunk": 2048, "chnuk": 1}';
  writeFileSync(home.settingsFile, content, { mode: 0o600 });
  const { warn, told } = warnings();
  const { settings } = await loadSettings({ home, env: {}, warn });
  assert.deepEqual([settings.port, settings.chunk], [7353, 2048]);
  assert.equal(told.length, 2);
  assert.equal(readFileSync(home.settingsFile, 'utf8'), content);
});
