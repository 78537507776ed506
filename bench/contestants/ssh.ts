import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Contestant, freePort, ServerProcess, type Task, type Workplace } from '../contestant.ts';

/** How a program is called that goes through ssh. */
interface Client {
  /** `-F …` and what else every call of OpenSSH's needs, without the port. */
  readonly options: readonly string[];
  readonly port: number;
  /** `USER@HOST` of the server. */
  readonly peer: string;
}

/** OpenSSH with its fastest cipher, a server and keys of its own, and a program on top of it. */
function overSsh(
  name: string,
  program: string,
  commandsOf: (client: Client, workplace: Workplace) => Partial<Record<Task, readonly string[]>>,
): Contestant {
  return {
    name,
    programs: ['/usr/sbin/sshd', 'ssh-keygen', program],
    packages: ['openssh-server', 'openssh-client', ...(program === 'rsync' ? ['rsync'] : [])],
    async start(workplace) {
      const { server, client } = await startServer(join(workplace.scratch, name.replaceAll(' ', '-')));
      const commands = commandsOf(client, workplace);
      return {
        serverPid: server.pid,
        command: (task) => commands[task],
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  };
}

async function startServer(folder: string): Promise<{ server: ServerProcess; client: Client }> {
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
  const client = ['-F', '/dev/null', '-i', userKey, ...options];
  return { server, client: { options: client, port, peer: `${userInfo().username}@127.0.0.1` } };
}

export const scp = overSsh('scp aes128-gcm', 'scp', ({ options, port, peer }, { shared, inbox, outbox }) => {
  const start = ['scp', '-q', ...options, '-P', `${port}`];
  return {
    get: [...start, `${peer}:${shared}/big`, outbox],
    put: [...start, join(shared, 'big'), `${peer}:${inbox}/`],
    tree: [...start, '-r', `${peer}:${shared}/tree`, outbox],
    'tree-put': [...start, '-r', join(shared, 'tree'), `${peer}:${inbox}/`],
    mixed: [...start, '-r', `${peer}:${shared}/mixed`, outbox],
    'mixed-put': [...start, '-r', join(shared, 'mixed'), `${peer}:${inbox}/`],
    start: [...start, `${peer}:${shared}/tiny`, outbox],
  };
});

/** What people write who know that scp is slow. Nothing is resumed or checked. */
export const tarOverSsh = overSsh('tar over ssh', 'tar', (client, { shared, inbox, outbox }) => {
  const far = ['ssh', ...client.options, '-p', `${client.port}`, client.peer];
  const get = (name: string): string[] => {
    return ['sh', '-c', '"$@" | tar -C "$0" -xf -', outbox, ...far, `tar -C ${shared} -cf - ${name}`];
  };
  const put = (name: string): string[] => {
    return ['sh', '-c', `tar -C "$0" -cf - ${name} | "$@"`, shared, ...far, `tar -C ${inbox} -xf -`];
  };
  return {
    get: get('big'),
    put: put('big'),
    tree: get('tree'),
    'tree-put': put('tree'),
    mixed: get('mixed'),
    'mixed-put': put('mixed'),
    start: get('tiny'),
  };
});

/** As most people call it: what has the same size and time counts as the same. */
export const rsyncOverSsh = overSsh('rsync over ssh', 'rsync', (client, workplace) => {
  const { shared, inbox, outbox } = workplace;
  const [start, far] = rsyncStart(client, workplace);
  return {
    get: [...start, `${far}/big`, outbox],
    put: [...start, join(shared, 'big'), `${client.peer}:${inbox}/`],
    tree: [...start, `${far}/tree`, outbox],
    'tree-put': [...start, join(shared, 'tree'), `${client.peer}:${inbox}/`],
    mixed: [...start, `${far}/mixed`, outbox],
    'mixed-put': [...start, join(shared, 'mixed'), `${client.peer}:${inbox}/`],
    again: [...start, `${far}/tree`, outbox],
    'again-put': [...start, join(shared, 'tree'), `${client.peer}:${inbox}/`],
    start: [...start, `${far}/tiny`, outbox],
  };
});

/** Compares contents, as ours always does. */
export const rsyncChecksumOverSsh = overSsh('rsync over ssh --checksum', 'rsync', (client, workplace) => {
  const { shared, inbox, outbox } = workplace;
  const [start, far] = rsyncStart(client, workplace);
  return {
    again: [...start, '--checksum', `${far}/tree`, outbox],
    'again-put': [...start, '--checksum', join(shared, 'tree'), `${client.peer}:${inbox}/`],
  };
});

function rsyncStart({ options, port, peer }: Client, { shared }: Workplace): [string[], string] {
  return [['rsync', '-a', '-e', ['ssh', ...options, '-p', `${port}`].join(' ')], `${peer}:${shared}`];
}
