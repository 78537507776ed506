/** A transfer that goes on after a lost connection is one to whoever looks on, and told once. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isPartialName } from '../../src/transfer/partial.ts';
import { needs } from '../needs.ts';
import { until } from '../server/wire-machines.ts';
import { Relay } from '../soak/relay.ts';
import { folderIn, freePort, run, scratch, serve, start } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const MIB = 1024 * 1024;
const { folder, server, client } = scratch();
const content = Buffer.alloc(16 * MIB, 'some bytes of a file');
writeFileSync(join(folder, 'big'), content);

async function fingerprintOf(home: string): Promise<string> {
  return (await run(['identity'], { home })).stdout.split(' ')[0] ?? '';
}

test('send_file that goes on is told once, by the command', async () => {
  const into = folderIn(folder, 'into');
  await run(['trust', await fingerprintOf(client), '--name', 'desk'], { home: server });
  const port = await freePort();
  const sending = start(
    ['send_file', String(port), 'big', '--host', '127.0.0.1', '--limit', '8MB/s', '--to', 'desk'],
    { home: server, cwd: folder },
  );
  await sending.until(/listening on/);
  await using relay = await Relay.start(port);
  const key = ['--fingerprint', await fingerprintOf(server)];
  const receiving = start(['receive_file', 'into/', '--from', `127.0.0.1:${relay.port}`, '--yes', ...key], {
    home: client,
    cwd: folder,
  });
  await until(() =>
    readdirSync(into).some((name) => isPartialName(name) && statSync(join(into, name)).size > 2 * MIB),
  );
  relay.cut();
  const [sent, received] = await Promise.all([sending.ended, receiving.ended]);
  assert.deepEqual([sent.status, received.status], [0, 0], sent.stderr + received.stderr);
  assert.ok(readFileSync(join(into, 'big')).equals(content));
  assert.match(received.stderr, /trying again in/);
  assert.equal(sent.stdout.match(/sent 1 file/g)?.length, 1);
  assert.doesNotMatch(sent.stderr, /sent 1 file|failed/);
});

describe('a shell whose connection breaks while it is idle', needs('tmux'), () => {
  test('says so, and the next command connects again without a question', async () => {
    const docs = folderIn(folder, 'docs');
    const work = folderIn(folder, 'work');
    writeFileSync(join(docs, 'menu.txt'), 'soup');
    await using served = await serve(['--open', '--share', docs], { home: server });
    await using relay = await Relay.start(served.port);
    using shell = new Terminal(['connect', `127.0.0.1:${relay.port}`, '--accept-new'], {
      home: client,
      cwd: work,
      columns: 140,
    });
    await shell.until(/\S+>$/);
    shell.type('cd /docs');
    shell.press('Enter');
    await shell.until(/:\/docs>$/);
    relay.cut();
    await shell.until(/is gone for now: .*; the next command connects again\n\S+:\/docs>$/);
    shell.type('status');
    shell.press('Enter');
    await shell.until(/connected to: the connection is lost; the next command makes it again\n/);
    shell.type('get menu.txt');
    shell.press('Enter');
    await shell.until(/received 1 file from [\s\S]*\n\S+:\/docs>$/);
    assert.equal(readFileSync(join(work, 'menu.txt'), 'utf8'), 'soup');
    await served.stop('SIGTERM');
    await shell.until(/has closed the connection|is gone: [\s\S]*\nlocalstream>$/);
    shell.type('exit');
    shell.press('Enter');
    await shell.until(/ended/);
  });
});

test('a terminal counts down to the next try, and the transfer goes on', needs('tmux'), async (t) => {
  const into = folderIn(folder, 'counted');
  const shares = ['--open', '--share', `all=${folder}`];
  const served = await serve(shares, { home: server });
  using terminal = new Terminal(
    ['get', `${served.peer}:/all/big`, 'counted/', '--accept-new', '--limit', '4MB/s'],
    {
      home: client,
      cwd: folder,
    },
  );
  await terminal.until(/big +\[=/);
  await served.stop('SIGKILL');
  await terminal.until(/trying again in \S+ s, for another (?:1:00|0:5\d) at the most/);
  await terminal.until(/no connection, next try in [1-9]\d* s$/);
  const again = start(['serve', '--host', '127.0.0.1', '--port', String(served.port), ...shares], {
    home: server,
  });
  t.after(() => again.child.kill());
  await again.until(/listening/);
  await terminal.until(/received 1 file from [\s\S]*ended 0/);
  assert.ok(readFileSync(join(into, 'big')).equals(content));
});
