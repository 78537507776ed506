import { join } from 'node:path';
import { type Contestant, freePort, ServerProcess } from '../contestant.ts';

const launcher = join(import.meta.dirname, '../../bin/localstream.js');

/** Ours: TLS 1.3 with AES-256-GCM, BLAKE3 at both ends. */
export const localstream: Contestant = {
  name: 'localstream',
  programs: [],
  packages: [],
  async start({ shared, inbox, outbox, scratch }) {
    const port = await freePort();
    const shares = ['--share', `bench=${shared}`, '--share', `inbox=${inbox}:rw`];
    const serve = [launcher, 'serve', '--port', `${port}`, ...shares, '--open', '--json'];
    const home = { LOCALSTREAM_HOME: join(scratch, 'localstream-server') };
    const server = await new ServerProcess(process.execPath, serve, port, home).ready();
    const peer = `127.0.0.1:${port}`;
    const get = (name: string) => ['get', `${peer}:/bench/${name}`, `${outbox}/`];
    const put = (name: string) => ['put', join(shared, name), `${peer}:/inbox/`];
    const commands = {
      get: get('big'),
      put: put('big'),
      tree: get('tree'),
      'tree-put': put('tree'),
      mixed: get('mixed'),
      'mixed-put': put('mixed'),
      again: get('tree'),
      'again-put': put('tree'),
      start: get('tiny'),
    };
    return {
      serverPid: server.pid,
      command: (task) =>
        task === 'version'
          ? [process.execPath, launcher, '--version']
          : [process.execPath, launcher, ...commands[task], '--accept-new', '--overwrite'],
      environment: { LOCALSTREAM_HOME: join(scratch, 'localstream-client') },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};
