import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Contestant, freePort, ServerProcess } from '../contestant.ts';

/** The rsync daemon: nothing encrypted, so the mark to come near. It looks at size and time only. */
export const rsync: Contestant = {
  name: 'rsync daemon, in clear',
  programs: ['rsync'],
  packages: ['rsync'],
  async start({ shared, inbox, outbox, scratch }) {
    const folder = join(scratch, 'rsync');
    mkdirSync(folder);
    const port = await freePort();
    const settings = `use chroot = no
address = 127.0.0.1
${process.getuid?.() === 0 ? 'uid = root\ngid = root' : ''}
[shared]
path = ${shared}
[inbox]
path = ${inbox}
read only = no
`;
    writeFileSync(join(folder, 'rsyncd.conf'), settings);
    const daemon = ['--daemon', '--no-detach', '--config', join(folder, 'rsyncd.conf'), '--port', `${port}`];
    const server = await new ServerProcess('rsync', daemon, port).ready();
    const base = `rsync://127.0.0.1:${port}`;
    const commands = {
      get: [`${base}/shared/big`, `${outbox}/`],
      put: [join(shared, 'big'), `${base}/inbox/`],
      tree: [`${base}/shared/tree`, `${outbox}/`],
      'tree-put': [join(shared, 'tree'), `${base}/inbox/`],
      mixed: [`${base}/shared/mixed`, `${outbox}/`],
      'mixed-put': [join(shared, 'mixed'), `${base}/inbox/`],
      again: [`${base}/shared/tree`, `${outbox}/`],
      'again-put': [join(shared, 'tree'), `${base}/inbox/`],
      start: [`${base}/shared/tiny`, `${outbox}/`],
    };
    return {
      serverPid: server.pid,
      command: (task) => (task === 'version' ? undefined : ['rsync', '-a', ...commands[task]]),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};
