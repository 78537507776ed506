import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Contestant, freePort, ServerProcess, type Task } from '../contestant.ts';

/** nginx and curl over TLS 1.3 with AES-256-GCM, as ours; they check no digest. */
export const nginx: Contestant = {
  name: 'nginx + curl, TLS 1.3',
  programs: ['/usr/sbin/nginx', 'curl', 'openssl'],
  packages: ['nginx', 'curl', 'openssl'],
  async start({ shared, inbox, outbox, scratch }) {
    const folder = join(scratch, 'nginx');
    mkdirSync(folder);
    const request = ['req', '-x509', '-newkey', 'rsa:3072', '-nodes', '-days', '1', '-subj', '/CN=bench'];
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    execFileSync('openssl', [...request, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    const port = await freePort();
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `${kind}_temp_path ${join(inbox, '.nginx', kind)};`)
      .join('\n    ');
    mkdirSync(join(inbox, '.nginx'));
    chmodSync(inbox, 0o777);
    const user = process.getuid?.() === 0 ? `user ${userInfo().username};` : '';
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off;
${user}
pid ${join(folder, 'pid')};
error_log stderr;
events {}
http {
    access_log off;
    sendfile on;
    ${temporary}
    server {
        listen 127.0.0.1:${port} ssl;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
        ssl_certificate ${certificate};
        ssl_certificate_key ${key};
        client_max_body_size 0;
        location /shared/ { alias ${shared}/; }
        location /inbox/ { alias ${inbox}/; dav_methods PUT; }
    }
}
`,
    );
    const server = await new ServerProcess(
      '/usr/sbin/nginx',
      ['-c', join(folder, 'nginx.conf')],
      port,
    ).ready();
    const client = ['curl', '-sS', '--fail', '--tlsv1.3', '--cacert', certificate, '--insecure'];
    const base = `https://127.0.0.1:${port}`;
    const commands: Partial<Record<Task, string[]>> = {
      get: ['-o', join(outbox, 'big'), `${base}/shared/big`],
      put: ['-T', join(shared, 'big'), `${base}/inbox/big`],
      start: ['-o', join(outbox, 'tiny'), `${base}/shared/tiny`],
    };
    return {
      serverPid: server.pid,
      command: (task) => commands[task] && [...client, ...commands[task]],
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};
