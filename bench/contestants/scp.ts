import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Contestant, freePort, ServerProcess } from '../contestant.ts';

/** OpenSSH with its fastest cipher, a server and keys of its own. */
export const scp: Contestant = {
  name: 'scp aes128-gcm',
  programs: ['/usr/sbin/sshd', 'scp', 'ssh-keygen'],
  packages: ['openssh-server', 'openssh-client'],
  async start({ shared, inbox, outbox, scratch }) {
    const folder = join(scratch, 'scp');
    mkdirSync(folder, { mode: 0o700 });
    const [hostKey, userKey] = [join(folder, 'host'), join(folder, 'user')];
    for (const key of [hostKey, userKey]) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    }
    const port = await freePort();
    const settings = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${userKey}.pub`,
      `PidFile ${join(folder, 'pid')}`,
      'PermitRootLogin yes',
      'StrictModes no',
      'UsePAM no',
      'Subsystem sftp internal-sftp',
    ];
    writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`);
    // sshd gives up its rights inside this folder, which a service manager makes otherwise.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const server = await new ServerProcess(
      '/usr/sbin/sshd',
      ['-D', '-e', '-f', join(folder, 'sshd_config')],
      port,
    ).ready();

    const options = [
      'Ciphers=aes128-gcm@openssh.com',
      'StrictHostKeyChecking=accept-new',
      `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
      'IdentitiesOnly=yes',
      'LogLevel=ERROR',
    ].flatMap((option) => ['-o', option]);
    const client = ['scp', '-q', '-F', '/dev/null', '-i', userKey, '-P', `${port}`, ...options];
    const peer = `${userInfo().username}@127.0.0.1`;
    const commands = {
      get: [`${peer}:${shared}/big`, outbox],
      put: [join(shared, 'big'), `${peer}:${inbox}/`],
      small: ['-r', `${peer}:${shared}/tree`, outbox],
      start: [`${peer}:${shared}/tiny`, outbox],
    };
    return {
      serverPid: server.pid,
      command: (task) => (task === 'version' ? undefined : [...client, ...commands[task]]),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};
