/** Two people open a shell each, for the first time. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { folderIn, LAUNCHER, scratch } from '../cli/cli-process.ts';
import { Terminal } from '../cli/tmux.ts';
import { needs } from '../needs.ts';
import { type Host, Network } from './network.ts';

const { folder } = scratch();

/** A shell on a host of the network, with everything as it is by default. */
function shellOn(
  host: Host,
  name: string,
  words: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Terminal {
  return new Terminal(words, {
    home: join(folder, `home-${name}`),
    cwd: folderIn(folder, name),
    columns: 140,
    program: ['ip', 'netns', 'exec', host.namespace, process.execPath, LAUNCHER],
    env: {
      LOCALSTREAM_DISCOVERY_ENABLED: 'on',
      LOCALSTREAM_SHELL_LISTEN: undefined,
      LOCALSTREAM_NAME: name,
      ...env,
    },
  });
}

describe('fresh shells', { concurrency: true, timeout: 240_000, ...needs('root', 'ip', 'tmux') }, () => {
  test('find each other, and one sends to the other', async () => {
    await using network = await Network.create(2);
    const [first, second] = network.hosts;
    assert.ok(first && second);
    using nas = shellOn(first, 'nas');
    using desk = shellOn(second, 'desk');
    const known = (name: string) =>
      new RegExp(`others find this machine as ${name} on port 7353;\\s+nothing is shared`);
    await nas.until(known('nas'));
    await desk.until(known('desk'));
    await desk.until(/\nlocalstream :7353>$/);
    for (const [shell, other] of [
      [desk, /\nnas +10\.77\.0\.1:7353 +unknown key/],
      [nas, /\ndesk +10\.77\.0\.2:7353 +unknown key/],
    ] as const) {
      shell.type('possible_connections');
      shell.press('Enter');
      await shell.until(other);
      await shell.until(/:7353>$/);
    }
    // Whoever opens a shell now is told of both.
    using late = shellOn(second, 'late');
    await late.until(/\nnear: (?:desk|nas)(?:, nas)?\n/);
    late.press('C-d');
    await late.until(/ended 0/);
    desk.type('connect nas');
    desk.press('Enter');
    await desk.until(/unknown server\n[\s\S]*Connect to it\?/);
    desk.press('Down', 'Enter');
    await nas.until(/\[1\] an unknown client wants in/);
    nas.type('accept 1');
    nas.press('Enter');
    await nas.until(/"desk" \(10\.77\.0\.2:\d+\) is connected on 7353/);
    await desk.until(/"nas" :7353>$/);
    writeFileSync(join(folder, 'nas', 'first.txt'), 'the first file\n');
    nas.type('send_file 7353 first.txt');
    nas.press('Enter');
    await desk.until(/\[1\][^\n]*first\.txt/);
    desk.type('receive_file got.txt');
    desk.press('Enter');
    await desk.until(/received 1 file/);
    await nas.until(/sent 1 file/);
    assert.equal(readFileSync(join(folder, 'desk', 'got.txt'), 'utf8'), 'the first file\n');
    desk.type('exit');
    desk.press('Enter');
    await desk.until(/ended 0/);
  });

  test('can be hidden, or closed, and take the next port where theirs is taken', async () => {
    await using network = await Network.create(2);
    const [first, second] = network.hosts;
    assert.ok(first && second);
    using one = shellOn(first, 'one', ['--hidden']);
    await one.until(/others reach this machine on port 7353, and it is on no list of names/);
    using two = shellOn(first, 'two');
    await two.until(/others find this machine as two on port 7354/);
    await two.until(/localstream :7354>$/);
    using shut = shellOn(second, 'shut', [], { LOCALSTREAM_SHELL_LISTEN: 'off' });
    await shut.until(/nobody can reach this machine \(shell\.listen is off\)/);
    await shut.until(/\nlocalstream>$/);
    shut.type('possible_connections');
    shut.press('Enter');
    await shut.until(/\ntwo +10\.77\.0\.1:7354/);
    await shut.until(/\nlocalstream>$/);
    assert.doesNotMatch(shut.lines.join('\n'), /:7353/);
    shut.type('connect 10.77.0.1:7353 --accept-new');
    shut.press('Enter');
    await one.until(/\[1\] an unknown client wants in/);
  });
});
