/** Who connected is in the history with the hardware address, by IPv4 and by IPv6. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventsNamed, eventsOf, LAUNCHER, type Ran } from '../cli/cli-process.ts';
import { needs } from '../needs.ts';
import { type Host, Network } from './network.ts';

async function macOf(host: Host): Promise<string> {
  const [mac = ''] =
    /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(await host.run('ip', 'link', 'show', 'eth0')) ?? [];
  return mac;
}

describe('the history', { timeout: 240_000, ...needs('root', 'ip') }, () => {
  test('says which machine it was on the wire', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    await using network = await Network.create(2);
    const [nas, desk] = network.hosts;
    assert.ok(nas && desk);
    const envOf = (name: string) => ({
      LOCALSTREAM_HOME: join(folder, name),
      LOCALSTREAM_DISCOVERY_ENABLED: 'off',
    });
    const start = (host: Host, name: string, ...words: string[]) => {
      const child = host.spawn(process.execPath, [LAUNCHER, ...words, '--json'], envOf(name), {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let stdout = '';
      const listening = Promise.withResolvers<void>();
      child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
        stdout += piece;
        if (stdout.includes('"event":"listening"')) listening.resolve();
      });
      const ended = new Promise<{ stdout: string; stderr: string; status: number | null }>((resolve) =>
        child.on('close', (status) => resolve({ stdout, stderr: '', status })),
      );
      void ended.then(() => listening.reject(new Error(`ended: ${stdout}`)));
      listening.promise.catch(() => {});
      return { child, ended, listening: listening.promise };
    };
    mkdirSync(join(folder, 'docs'));
    const serving = start(nas, 'nas', 'serve', '--open', '--share', join(folder, 'docs'));
    await serving.listening;
    for (const address of ['10.77.0.1', '[fd77::1]']) {
      const ran: Ran = await start(desk, 'desk', 'list_dir', `${address}:/docs`, '--accept-new').ended;
      assert.equal(ran.status, 0, ran.stdout);
    }
    serving.child.kill('SIGTERM');
    await serving.ended;
    for (const [host, name, other] of [
      [nas, 'nas', desk],
      [desk, 'desk', nas],
    ] as const) {
      const sessions = eventsNamed(eventsOf(await start(host, name, 'sessions').ended), 'session');
      const seen = sessions.map(({ address, mac }) => [address.includes(':'), mac]);
      assert.deepEqual(seen, [
        [true, await macOf(other)],
        [false, await macOf(other)],
      ]);
    }
  });
});
