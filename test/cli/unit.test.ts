import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { unitText } from '../../src/cli/daemon/unit.ts';
import { folderIn, run, scratch } from './cli-process.ts';

const { folder, server } = scratch();

test('a unit starts the same command in the same folder, with words as systemd reads them', () => {
  const text = unitText(
    { LOCALSTREAM_HOME: '/srv/my home/100%' },
    {
      program: ['/opt/node 24/bin/node', '/opt/localstream/bin/localstream.js'],
      words: ['serve', '--unit', '--daemon', '--share', 'a "b" $HOME\\c=/srv/50%', '--max', '3', '--json'],
      cwd: '/srv/a b/%h',
    },
  );
  const lines = text.split('\n');
  assert.ok(lines.includes('WorkingDirectory=/srv/a b/%%h'));
  assert.ok(lines.includes('Environment="LOCALSTREAM_HOME=/srv/my home/100%%"'));
  assert.ok(
    lines.includes(
      'ExecStart="/opt/node 24/bin/node" /opt/localstream/bin/localstream.js serve --share ' +
        '"a \\"b\\" $$HOME\\\\c=/srv/50%%" --max 3 --ask',
    ),
    text,
  );
});

test('what serve --unit prints runs, and is a unit for systemd', async () => {
  const cwd = folderIn(folder, 'a folder');
  const ran = await run(['serve', '--unit', '--host', '127.0.0.1', '--share', '.'], { home: server, cwd });
  assert.deepEqual([ran.status, ran.stderr], [0, '']);
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(ran.stdout) ?? [];
  const [program = '', launcher = '', ...words] = command.split(' ');
  assert.ok(existsSync(program) && existsSync(launcher), command);
  assert.deepEqual(words, ['serve', '--host', '127.0.0.1', '--share', '.', '--ask']);
  assert.match(ran.stdout, new RegExp(`^WorkingDirectory=${cwd}$`, 'm'));
  assert.equal((await run(['serve', '--unit', '--daemon'], { home: server })).status, 2);
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) return;
  const example = join(import.meta.dirname, '..', '..', 'docs', 'examples', 'localstream.service');
  for (const text of [ran.stdout, readFileSync(example, 'utf8')]) verify(text);
});

/** Has systemd read a unit. */
function verify(text: string): void {
  const place = mkdtempSync(join(tmpdir(), 'localstream-unit-'));
  try {
    const file = join(place, 'localstream.service');
    writeFileSync(file, text);
    const env = { ...process.env, XDG_RUNTIME_DIR: place, HOME: place };
    execFileSync('systemd-analyze', ['--user', 'verify', file], { env, encoding: 'utf8', stdio: 'pipe' });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
