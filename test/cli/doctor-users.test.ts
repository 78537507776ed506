/** doctor, where the users are in a database. It sends nothing to the network: the interface that it is to use is not there. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Mariadb, PASSWORD } from '../auth/mariadb.ts';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, run, scratch } from './cli-process.ts';

const scene = scratch();

describe('doctor and a database', needs('mariadbd'), () => {
  test('tells tables that are missing, complete, and a database that is down', async () => {
    await using database = await Mariadb.start();
    const home = join(scene.folder, 'home');
    mkdirSync(home, { mode: 0o700 });
    const settings = {
      'auth.url': `mysql://localstream@localhost/users?socket=${database.socket}`,
      'auth.password': PASSWORD,
    };
    writeFileSync(join(home, 'config.json'), JSON.stringify(settings), { mode: 0o600 });
    const env = { LOCALSTREAM_DISCOVERY_INTERFACES: 'nowhere0' };
    const look = async () => {
      const events = eventsOf(await run(['doctor', '--json'], { home, env }));
      const users = eventsNamed(events, 'check').find(({ id }) => id === 'users');
      assert.ok(users && !JSON.stringify(events).includes(PASSWORD));
      return users;
    };
    const missing = await look();
    assert.deepEqual([missing.grade, missing.fix], ['problem', 'localstream auth migrate']);
    const migrated = await run(['auth', 'migrate', '--yes'], { home, env });
    assert.equal(migrated.status, 0, migrated.stderr);
    const complete = await look();
    assert.equal(complete.grade, 'ok');
    assert.match(complete.text, /answers, and its tables are complete/);
    await database.sql('ALTER TABLE users.auth DROP COLUMN disabled');
    assert.equal((await look()).grade, 'problem');
    await database.kill();
    const down = await look();
    assert.equal(down.grade, 'problem');
    assert.match(down.text, /nobody can log in/);
  });
});
