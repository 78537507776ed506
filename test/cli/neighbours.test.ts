import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsNamed, eventsOf, run, scratch } from './cli-process.ts';

const { folder, client } = scratch();
// Every run of these tests has discovery.enabled off.
const here = { home: client, cwd: folder };

test('where discovery is off nobody is looked for by multicast, and that is told', async () => {
  for (const more of [[], ['--watch']]) {
    const ran = await run(['possible_connections', ...more], here);
    assert.deepEqual([ran.status, ran.stdout], [0, '']);
    assert.equal(
      ran.stderr,
      'the setting discovery.enabled is off: nobody is looked for by multicast; --scan tries every address\n',
    );
  }
  const events = eventsOf(await run(['possible_connections', '--json'], here));
  assert.equal(eventsNamed(events, 'notice').length, 1);
});
