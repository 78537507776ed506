/**
 * `node bench/peers.ts [COUNT]`: memory of a server with 200 peers that have logged in and do nothing. The server is a process
 * of its own, the peers are sessions of this one. Linux only; nothing is asserted.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { checkUserName } from '../src/auth/user-name.ts';
import { PasswordHasher } from '../src/crypto/passwords.ts';
import { openLocalstream } from '../src/index.ts';

const count = Number(process.argv[2] ?? 200);
const PASSWORD = 'correct horse';
const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'localstream-bench-'));
const home = join(folder, 'server');
const flags = { 'strangers.perSecond': 10_000, 'strangers.perSecondPerAddress': 10_000 };

function rssOf(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

try {
  const prepared = await openLocalstream({ home });
  const { fingerprint } = prepared;
  await (await prepared.users()).add(checkUserName('ann'), await new PasswordHasher().hash(PASSWORD));
  await prepared.close();
  writeFileSync(join(home, 'config.json'), JSON.stringify(flags));
  const port = await freePort();
  const words = ['serve', '--json', '--auth', 'password', '--host', '127.0.0.1', '--port', `${port}`];
  const launcher = join(import.meta.dirname, '..', 'bin', 'localstream.js');
  const server = spawn(process.execPath, [launcher, ...words, '--max', `${count}`], {
    env: { ...process.env, LOCALSTREAM_HOME: home, LOCALSTREAM_DISCOVERY_ENABLED: 'off' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let said = '';
    await new Promise<void>((resolve) =>
      server.stdout.on('data', (bytes: Buffer) => {
        said = `${said}${bytes}`.slice(-10_000);
        if (said.includes('"event":"listening"')) resolve();
      }),
    );
    const { pid = 0 } = server;
    const client = await openLocalstream({ home: join(folder, 'client'), flags });
    const to = { host: '127.0.0.1', port, fingerprint };
    const connect = async () => {
      const session = await client.connect(to);
      await session.login('ann', PASSWORD);
      return session;
    };
    // The first login loads what all of them need.
    await (await connect()).close();
    await pause(2000);
    const before = rssOf(pid);
    for (let index = 0; index < count; index += 1) await connect();
    const loggedIn = rssOf(pid);
    await pause(30_000);
    const idle = rssOf(pid);
    const mib = (bytes: number) => (bytes / MIB).toFixed(1);
    console.log(
      `${count} peers: ${mib(before)} MiB before, ${mib(loggedIn)} after the last login, ${mib(idle)} idle for 30 s: ` +
        `${mib(idle - before)} more, ${((idle - before) / 1024 / count).toFixed(0)} KiB each; load ${loadavg()[0]?.toFixed(1)}`,
    );
    await client.close();
  } finally {
    server.kill('SIGTERM');
    await new Promise((resolve) => server.once('exit', resolve));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
