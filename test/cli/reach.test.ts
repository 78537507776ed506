import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { folderIn, freePort, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const there = { home: server, cwd: folder };

test("a trusted peer's name comes before the same name of the system, and brings its key", async () => {
  await using served = await serve(['--open', '--share', `docs=${docs}`], there);
  await using other = await serve(['--open'], { home: join(folder, 'other-home'), cwd: folder });
  // Where the system would lead: `localhost` is a name that it knows everywhere.
  const at = (port: number) => ({
    home: client,
    cwd: folder,
    env: { LOCALSTREAM_PORT: String(port) },
  });
  const nobody = await freePort();
  const met = await run(
    ['list_dir', `${served.peer}:`, '--fingerprint', served.fingerprint, '--json'],
    at(nobody),
  );
  assert.equal(met.status, 0, met.stderr);
  assert.equal((await run(['rename', served.fingerprint, 'localhost'], at(nobody))).status, 0);

  for (const peer of ['localhost', `LOCALHOST:${served.port}`]) {
    const listed = await run(['list_dir', `${peer}:`], at(nobody));
    assert.equal(listed.status, 0, `${peer}: ${listed.stderr}`);
    assert.match(listed.stdout, /docs/);
  }
  // Another server on the same machine is meant by its port.
  const meant = await run(['list_dir', `localhost:${other.port}:`, '--accept-new'], at(nobody));
  assert.equal(meant.status, 0, meant.stderr);
  assert.equal((await run(['forget', other.fingerprint], at(nobody))).status, 0);

  assert.equal((await served.stop()).status, 0);
  const gone = await run(['list_dir', 'localhost:', '--accept-new'], at(nobody));
  assert.equal(gone.status, 4, gone.stderr);
  // Not of the last resort, where nobody has ever been.
  assert.ok(gone.stderr.includes(`nothing listens on 127.0.0.1, port ${served.port};`), gone.stderr);
  const impostor = await run(['list_dir', 'localhost:', '--accept-new'], at(other.port));
  assert.equal(impostor.status, 6, impostor.stderr);
});

test('of a trusted peer that was never met it is said so', async () => {
  const { stdout } = await run(['identity'], { home: join(folder, 'far-home'), cwd: folder });
  const [fingerprint = ''] = stdout.split(' ');
  assert.equal((await run(['trust', fingerprint, '--name', 'far'], there)).status, 0);
  const missing = await run(['list_dir', 'far:'], there);
  assert.equal(missing.status, 4, missing.stderr);
  assert.match(
    missing.stderr,
    /'far' is trusted, but was never met, and is not found here; use its HOST:PORT once/,
  );
});
