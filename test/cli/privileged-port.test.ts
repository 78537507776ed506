/** A port that this user may not have, asked for as people do: by a server, a shell and a server that lives on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { Network } from '../lan/network.ts';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, LAUNCHER, type Ran, run, scratch } from './cli-process.ts';

const NOBODY = 65_534;
const LOWEST = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
const { folder } = scratch();
const home = join(folder, 'nobody');
const isRoot = process.getuid?.() === 0;

type Start = (words: readonly string[], input?: string) => Promise<Ran>;

/** Root has every port: it hands over to nobody, on a host whose low ports are the system's whatever they are here. */
async function asNobody(t: TestContext): Promise<Start> {
  const network = await Network.create(1);
  t.after(() => network[Symbol.asyncDispose]());
  const [host] = network.hosts;
  assert.ok(host);
  assert.equal(await host.run('cat', LOWEST), '1024\n');
  chownSync(folder, NOBODY, NOBODY);
  mkdirSync(home, { mode: 0o700 });
  chownSync(home, NOBODY, NOBODY);
  // The checkout may lie where only root can read; access(2) forgets that this user may as well without the last one.
  const right = '+dac_read_search';
  const reading = [`--inh-caps=${right}`, `--ambient-caps=${right}`, '--securebits=+no_setuid_fixup'];
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...reading];
  const env = {
    HOME: home,
    LOCALSTREAM_HOME: home,
    LOCALSTREAM_DISCOVERY_ENABLED: 'off',
    LOCALSTREAM_SHELL_LISTEN: 'off',
    NO_COLOR: '1',
  };
  return async (words, input = '') => {
    const args = [...user, process.execPath, LAUNCHER, ...words];
    const child = host.spawn('setpriv', args, env, { stdio: 'pipe', cwd: folder });
    assert.ok(child.stdin && child.stdout && child.stderr);
    child.stdin.end(input);
    const ended = once(child, 'close');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { stdout, stderr, status: child.exitCode };
  };
}

/** What is in the way of the test for a user who is not root. */
function inTheWay(): string | false {
  if (process.platform !== 'linux') return 'only Linux keeps ports from every user but root';
  return Number(readFileSync(LOWEST, 'latin1')) <= 80 && 'every user may have port 80 here';
}

describe('port 80 for a user who may not have it', isRoot ? needs('ip') : { skip: inTheWay() }, () => {
  test('is refused in one line, with status 1', { timeout: 120_000 }, async (t) => {
    const start: Start = isRoot
      ? await asNobody(t)
      : (words, input = '') => run(words, { home, cwd: folder, input });
    const all = 'localstream: port 80 may not be opened by this user; choose one above 1023\n';
    const one = 'localstream: 127.0.0.1, port 80 may not be opened by this user; choose one above 1023\n';

    const cases: readonly (readonly [words: string[], input: string, line: string])[] = [
      [['serve', '--port', '80'], '', all],
      [['serve', '--port', '80', '--host', '127.0.0.1'], '', one],
      [['serve', '--port', '80', '--daemon'], '', all],
      [[], 'add_connection 80\n', all],
      [['receive', '--auto', '--port', '80'], '', all],
    ];
    for (const [words, input, line] of cases) {
      const ran = await start(words, input);
      assert.deepEqual([ran.stdout, ran.stderr, ran.status], ['', line, 1], `${words.join(' ')}${input}`);
    }

    const goesOn = await start([], '-add_connection 80\nlpwd\n');
    assert.deepEqual(goesOn, { stdout: `${folder}\n`, stderr: all, status: 0 });

    const told = await start(['serve', '--port', '80', '--json']);
    const [error] = eventsNamed(eventsOf(told), 'error');
    assert.deepEqual([error?.code, error?.exit, told.status], ['PORT_DENIED', 1, 1]);
  });
});
