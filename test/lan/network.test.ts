import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { type Host, Network } from './network.ts';

/** A program for a host: answers each connection with the address that it comes from and echoes what it gets. */
const ECHO = `
require('node:net').createServer((socket) => {
  socket.on('error', () => {});
  socket.write(socket.remoteAddress + '\\n');
  socket.pipe(socket);
}).listen(7000, '::', () => console.log('ready'));
`;

/** Connects, reads the address, sends bytes, waits for all of them and prints how it went. */
const CALL = `
const [address, bytes] = process.argv.slice(1);
const started = performance.now();
const socket = require('node:net').connect(7000, address, () => socket.write(Buffer.alloc(Number(bytes), 1)));
let text = Buffer.alloc(0);
socket.on('data', (piece) => {
  text = Buffer.concat([text, piece]);
  const end = text.indexOf(10);
  if (end < 0 || text.length - end - 1 < Number(bytes)) return;
  console.log(JSON.stringify({ seenAs: text.toString('utf8', 0, end), milliseconds: performance.now() - started }));
  process.exit();
});
setTimeout(() => process.exit(9), 4000);
`;

async function serve(host: Host): Promise<ChildProcess> {
  const server = host.spawn(process.execPath, ['-e', ECHO], {}, { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(server.stdout);
  await once(server.stdout, 'data');
  return server;
}

async function call(
  host: Host,
  address: string,
  bytes = 1,
): Promise<{ seenAs: string; milliseconds: number }> {
  return JSON.parse(await host.run(process.execPath, '-e', CALL, address, String(bytes)));
}

function pair(network: Network): [Host, Host] {
  const [first, second] = network.hosts;
  assert.ok(first && second);
  return [first, second];
}

function namesOf(pid: number | undefined): string[] {
  const list = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  return list.split('\n').filter((line) => line.startsWith(`localstream-${pid}-`));
}

describe('a network of namespaces', { concurrency: true, ...needs('root', 'ip') }, () => {
  test('joins its hosts by IPv4 and IPv6, apart from this machine', async () => {
    await using network = await Network.create(3);
    const [first, second] = pair(network);
    const third = network.hosts[2];
    await serve(first);
    assert.equal((await call(second, first.address)).seenAs, '::ffff:10.77.0.2');
    assert.equal((await call(third ?? second, 'fd77::1')).seenAs, 'fd77::3');
    assert.doesNotMatch(execFileSync('ip', ['address'], { encoding: 'utf8' }), /10\.77\.0\.|fd77::/);
  });

  test('loses and finds a host whose cable is pulled, and its connections live on', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await serve(first);
    await second.linkDown();
    await assert.rejects(call(second, first.address));
    await second.linkUp();
    assert.equal((await call(second, first.address)).seenAs, '::ffff:10.77.0.2');
  });

  test('gives a host another address', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await serve(first);
    await second.changeAddress('10.77.0.99');
    assert.equal(second.address, '10.77.0.99');
    assert.equal((await call(second, first.address)).seenAs, '::ffff:10.77.0.99');
  });

  test('ends with every program that still runs on it', async () => {
    let server: ChildProcess;
    {
      await using network = await Network.create(1);
      const [host] = network.hosts;
      assert.ok(host);
      server = await serve(host);
    }
    if (server.signalCode === null) await once(server, 'exit');
    assert.equal(server.signalCode, 'SIGKILL');
  });

  test('removes what a dead process has left', async () => {
    const script = `import { Network } from ${JSON.stringify(join(import.meta.dirname, 'network.ts'))};
      const network = await Network.create(1);
      network.hosts[0].spawn('sleep', ['1000'], {}, { stdio: 'ignore' });
      process.kill(process.pid, 'SIGKILL');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    assert.equal(namesOf(child.pid).length, 2);
    await using network = await Network.create(1);
    assert.equal(network.hosts.length, 1);
    assert.deepEqual(namesOf(child.pid), []);
  });
});

describe('a shaped link', { concurrency: true, ...needs('root', 'ip', 'python3') }, () => {
  test('delays each way, and no more when it is made perfect again', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await serve(first);
    await second.shape({ delayMilliseconds: 300 });
    const slow = await call(second, first.address);
    await second.shape({});
    const fast = await call(second, first.address);
    // Two round trips at least, the handshake's and the data's: below that, the delay is not there.
    assert.ok(slow.milliseconds >= 1200, `${slow.milliseconds} ms`);
    assert.ok(fast.milliseconds < slow.milliseconds, `${fast.milliseconds} ms`);
  });

  test('loses frames and nothing of the data', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await serve(first);
    await second.shape({ loss: 1 });
    await assert.rejects(call(second, first.address));
    await second.shape({ loss: 0.02 });
    assert.equal((await call(second, first.address, 200_000)).seenAs, '::ffff:10.77.0.2');
  });

  test('lets no more through than its rate', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await serve(first);
    await second.shape({ bytesPerSecond: 1_000_000 });
    const { milliseconds } = await call(second, first.address, 500_000);
    assert.ok(milliseconds >= 500, `${milliseconds} ms`);
  });
});
