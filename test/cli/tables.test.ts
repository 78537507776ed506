/** Tables on screens of every width, with characters of every width in them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { widthOf } from '../../src/cli/text-width.ts';
import { needs } from '../needs.ts';
import { folderIn, run, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const NAMES = ['nas', '日本の箱', 'ærø', 'пк', 'a-long-name-of-a-machine', '💾disk', 'été'];

async function trustAll(home: string): Promise<void> {
  for (const [index, name] of NAMES.entries()) {
    const fingerprint = `SHA256:${Buffer.alloc(32, index + 1)
      .toString('base64')
      .slice(0, -1)}`;
    assert.equal((await run(['trust', fingerprint, '--name', name], { home })).status, 0);
  }
}

test('columns begin at one place in every row, whatever the names are', async () => {
  await trustAll(client);
  const { stdout } = await run(['peers'], { home: client });
  const rows = stdout.trimEnd().split('\n');
  assert.equal(rows.length, NAMES.length);
  const places = rows.map((row) => widthOf(row.slice(0, row.indexOf('SHA256:'))));
  assert.equal(new Set(places).size, 1, stdout);
  for (const name of NAMES)
    assert.ok(
      rows.some((row) => row.includes(name)),
      name,
    );
});

describe('in a terminal', needs('tmux'), () => {
  test('tables are whole on twenty columns and straight on three hundred', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    for (const columns of [20, 300]) {
      using shell = new Terminal(['connect', served.peer, '--accept-new'], {
        home: client,
        cwd: folder,
        columns,
        rows: 100,
      });
      await shell.until(/\S>$/);
      await shell.clear();
      shell.type('peers; status; sessions');
      shell.press('Enter');
      await shell.until(/(?:o\n?p\n?e\n?n|O\n?K)\n\S+>$/);
      const rows = shell.scrollback;
      for (const name of NAMES)
        assert.ok(
          rows.some((row) => row.includes(name)),
          `${columns}, ${name}`,
        );
      const keys = rows.filter((row) => /(?:by hand|unverified) .*SHA256:/.test(row));
      assert.equal(keys.length, NAMES.length + 1);
      // tmux counts columns by itself: its rows are as wide as ours are for it.
      const places = keys.map((row) => widthOf(row.slice(0, row.indexOf('SHA256:'))));
      assert.equal(new Set(places).size, 1, keys.join('\n'));
      for (const word of ['this machine', 'connected to', 'TLS_AES_256_GCM_SHA384'])
        assert.ok(
          rows.some((row) => row.includes(word)),
          `${columns}, ${word}`,
        );
      shell.press('C-d');
      await shell.until(/ended 0/);
    }
  });
});
