/** A machine of its own process, there to be killed: serves a folder, or gets or puts one, and says how it goes. */
import { writeSync } from 'node:fs';
import { LocalstreamError, openLocalstream } from '../../src/index.ts';
import { TEST_FLAGS } from './machines.ts';

const [action = '', home = '', port = '0', from = '', to = '', user = ''] = process.argv.slice(2);
const say = (value: unknown): void => void writeSync(1, `${JSON.stringify(value)}\n`);

if (user !== '') {
  process.setgroups?.([]);
  process.setgid?.(Number(user));
  process.setuid?.(Number(user));
}
const localstream = await openLocalstream({ home, flags: { name: action, ...TEST_FLAGS } });
if (action === 'serve') {
  const listener = await localstream.listen({
    port: Number(port),
    host: '127.0.0.1',
    open: true,
    maxConnections: 10,
    shares: [{ name: 'share', folder: from, mode: 'rw' }],
  });
  say({ port: listener.port });
} else {
  try {
    const session = await localstream.connect({ host: '127.0.0.1', port: Number(port), acceptNew: true });
    say({ connected: true });
    const receipt =
      action === 'get'
        ? await session.get([from], to, { existing: 'overwrite' })
        : await session.put([from], to, { existing: 'overwrite' });
    const { code, bytes, bytesMoved } = receipt;
    say({ code, bytes, bytesMoved });
  } catch (error) {
    say({ code: error instanceof LocalstreamError ? error.code : String(error) });
  }
  await localstream.close();
  say({ peak: process.resourceUsage().maxRSS });
}
