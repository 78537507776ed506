/** A shell beside the server of its home. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { folderIn, freePort, run, scratch, start } from './cli-process.ts';
import { daemon, statusOf, until } from './daemon-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server: home, client: other } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'a.txt'), 'hello\n');
writeFileSync(join(work, 'big.bin'), Buffer.alloc(4_000_000, 'localstream'));

describe('in a terminal', needs('tmux'), () => {
  test('a shell works with the server of its home, whose questions come to it', async () => {
    await using server = await daemon(['--share', docs, '--max', '5'], { home, cwd: folder });
    // As it is by default: the shell would open a port of its own.
    const env = { LOCALSTREAM_SHELL_LISTEN: undefined };
    using shell = new Terminal([], { home, cwd: work, env });
    await shell.until(
      new RegExp(`the server of this home, process ${server.pid}, listens on ${server.port}`),
    );
    await shell.until(new RegExp(`localstream :${server.port}>$`));
    await shell.clear();
    let port = await freePort();
    const beginning = String(server.port).slice(0, 4);
    while (String(port).startsWith(beginning)) port = await freePort();
    shell.type(`add_local_connection 127.0.0.1 ${port} 2 --share here=.`);
    shell.press('Enter');
    await shell.until(
      new RegExp(`listening on 127.0.0.1:${port}[\\s\\S]*localstream :${server.port},${port}>$`),
    );
    assert.equal((await server.status()).listeners[1]?.shares[0]?.folder, work, 'the folder of the shell');

    shell.type('help exit # half typed');
    const stranger = start(['list_dir', `${server.peer}:/docs`, '--accept-new'], { home: other });
    await shell.until(
      /\[s1\] an unknown client wants in: accept s1[\s\S]*localstream :[\d,]+> help exit # half typed$/,
    );
    shell.press('C-c');
    shell.type('accept s1');
    shell.press('Enter');
    assert.match((await stranger.ended).stdout, /a\.txt/);
    await shell.until(/left \d+\n(?:.*\n)*localstream :[\d,]+>$/);
    shell.type('accept 1');
    shell.press('Enter');
    await shell.until(/there is no open question 1/);
    await shell.clear();

    const elsewhere = start(['list_dir', `${server.peer}:/docs`, '--accept-new'], { home: other });
    await shell.until(/\[s2\]/);
    shell.type('trust s2 --name ann');
    shell.press('Enter');
    assert.equal((await elsewhere.ended).status, 0);
    await shell.until(/trusted: ann, SHA256:/);

    await shell.clear();
    const receiver = start(['receive_file', './', '--from', server.peer, '--yes'], {
      home: other,
      cwd: docs,
    });
    await shell.until(/ann \(127\.0\.0\.1:\d+\) is connected on/);
    await shell.clear();
    shell.type(`send_file ${server.port} big.bin --to ann --limit 2k --chunk 1k &`);
    shell.press('Enter');
    await shell.until(/\n1: big\.bin .*\n.*\[1 job\]>$/);
    shell.type('jobs');
    shell.press('Enter');
    await shell.until(/job 1 +running .*send_file[\s\S]*job s\d+ +running .*send_file/);
    const [, name = ''] = /job (s\d+) +running/.exec(shell.lines.join('\n')) ?? [];
    shell.type(`cancel ${name}`);
    shell.press('Enter');
    await shell.until(new RegExp(`job ${name} is cancelled`));
    await receiver.ended;
    await until(async () => (await server.status()).listeners[0]?.transfers.length === 0, 'it goes on');

    await shell.clear();
    shell.type('status');
    shell.press('Enter');
    await shell.until(
      new RegExp(
        `server: process ${server.pid}\\nlistener 127.0.0.1:${server.port}[\\s\\S]*connected to: no server`,
      ),
    );
    // The port of the server is there to complete to.
    shell.type(`del_connection ${String(port).slice(0, 4)}`);
    shell.press('Tab');
    await shell.until(new RegExp(`del_connection ${port}$`));
    shell.press('Enter');
    await shell.until(new RegExp(`closed 127.0.0.1:${port}\\nlocalstream :${server.port}>$`));
    assert.equal((await statusOf({ home })).listeners.length, 1);
    assert.equal((await run(['shutdown'], { home })).status, 0);
    await shell.until(/the server of this home has ended\nlocalstream>$/);
    shell.type('shutdown');
    shell.press('Enter');
    await shell.until(/no server is running in this home/);
    shell.press('C-d');
    await shell.until(/ended 0/);
    assert.match(readFileSync(server.log, 'utf8'), /job s\d+ is cancelled: send_file/);
  });
});
