/**
 * How people write peers and remote paths: `[USER@]HOST[:PORT]` and `PEER:/SHARE/…`, IPv6 in brackets. Each way of
 * getting it wrong has its own message.
 */
import { isIPv4, isIPv6 as isWholeIPv6 } from 'node:net';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';

/** Where a peer is, as it was written. The port is undefined where the default is meant. */
export interface PeerAddress {
  readonly user: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
}

/** A path on a peer; it starts with a slash, and `/` is the list of shares. */
export interface RemotePath {
  readonly peer: PeerAddress;
  readonly path: string;
}

const LONGEST_HOST = 253;
/** What every IPv6 address looks like, and hardly anything else: Node's own pattern takes milliseconds to compile. */
const LIKE_IPV6 = /^[^/:]*:[^/:]*:[^/]*$/;
// A user's name may hold an @, as mail addresses do: the last one divides. Nothing before the path holds a slash.
const AUTHORITY = /^(?:(?<user>[^:/[\]]*)@)?(?<host>\[[^\]/]*\]|[^:/@[\]]*)(?<rest>.*)$/s;

/** Reads a port. Throws USAGE for anything but 1 to 65535. */
export function parsePort(text: string): number {
  if (!/^\d+$/.test(text)) throw wrong(`"${shown(text)}" is not a port`, 'write a number from 1 to 65535');
  const port = Number(text);
  if (port < 1 || port > 65535) throw wrong(`there is no port ${shown(text)}`, 'ports are 1 to 65535');
  return port;
}

/** Reads the address of an interface to listen on; brackets around IPv6 are allowed, not needed. */
export function parseBindHost(text: string): string {
  if (isIPv6(text)) return text;
  return checkHost(text, text);
}

/** Reads `[USER@]HOST[:PORT]`. Throws USAGE. */
export function parsePeer(text: string): PeerAddress {
  const { user, host, rest } = split(text);
  if (rest === '') return { user, host, port: undefined };
  if (!rest.startsWith(':')) {
    throw wrong(`"${shown(text)}" is a path, not a peer`, 'write HOST or HOST:PORT');
  }
  if (rest === ':') throw wrong(`"${shown(text)}" has no port after its colon`, 'write HOST or HOST:PORT');
  return { user, host, port: parsePort(rest.slice(1)) };
}

/** Reads `[USER@]HOST[:PORT]:/SHARE/…`; `HOST:` alone is the list of its shares. Throws USAGE. */
export function parseRemotePath(text: string): RemotePath {
  if (!looksRemote(text)) {
    throw wrong(`"${shown(text)}" names no peer`, 'write PEER:/SHARE/PATH, for example nas:/docs/a.pdf');
  }
  const { user, host, rest } = split(text);
  const numbered = /^:(?<port>[^:/]*):(?<path>.*)$/s.exec(rest)?.groups;
  if (numbered !== undefined) {
    return { peer: { user, host, port: parsePort(numbered['port'] ?? '') }, path: rooted(numbered['path']) };
  }
  const path = rest.slice(1);
  if (/^\d+$/.test(path)) {
    throw wrong(
      `"${shown(text)}" is a peer without a path`,
      `write ${shown(text)}:/ for the list of its shares`,
    );
  }
  return { peer: { user, host, port: undefined }, path: rooted(path) };
}

/**
 * Whether a path is meant to be on a peer: a colon stands before any slash. `./a:b` and `/tmp/a:b` are local, and so
 * is `C:\x` on Windows, as scp has it.
 */
export function looksRemote(text: string, platform: NodeJS.Platform = process.platform): boolean {
  if (platform === 'win32' && /^[A-Za-z]:(?:[\\/]|$)/.test(text)) return false;
  // Inside the brackets of an IPv6 address colons are no sign of anything.
  const colon = /^(?:[^:/[\]]*@)?\[[^\]/]*\]/.exec(text)?.[0].length ?? 0;
  const rest = text.slice(colon);
  const slash = rest.search(platform === 'win32' ? /[\\/]/ : /\//);
  const first = rest.indexOf(':');
  if (first < 0) return false;
  return slash < 0 || first < slash;
}

/** Writes a peer the way it is read. */
export function formatPeer(host: string, port: number): string {
  const plain = plainAddress(host);
  return isIPv6(plain) ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** An IPv4 address that came in on an IPv6 socket (`::ffff:10.0.0.5`) as people know it. */
export function plainAddress(address: string): string {
  const [, inner = ''] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  return isIPv4(inner) ? inner : address;
}

function split(text: string): { user: string | undefined; host: string; rest: string } {
  if (text === '') throw wrong('the peer is empty', 'write HOST or HOST:PORT');
  // Before the pattern, which would read `fe80::1` as the host `fe80`.
  if (isIPv6(text)) {
    throw wrong(`"${shown(text)}" could end in a port or not`, `write [${text}] or [${text}]:PORT`);
  }
  const parts = AUTHORITY.exec(text)?.groups;
  const host = parts?.['host'] ?? '';
  const user = parts?.['user'];
  if (user === '') throw wrong(`"${shown(text)}" has no user before the @`, 'write USER@HOST or HOST');
  if (user !== undefined && /\p{Cc}/u.test(user)) {
    throw wrong(`"${shown(user)}" is not the name of a user`, 'write USER@HOST or HOST');
  }
  const rest = parts?.['rest'] ?? '';
  return { user, host: checkHost(/^[[\]]/.test(rest) ? rest : host, text), rest };
}

function checkHost(host: string, text: string): string {
  if (host.startsWith('[') && host.endsWith(']')) {
    const address = host.slice(1, -1);
    if (isIPv6(address)) return address;
    throw wrong(`"${shown(address)}" is not an IPv6 address`, 'only IPv6 addresses are written in brackets');
  }
  if (/[[\]]/.test(text.split('/', 1)[0] ?? '')) {
    throw wrong(
      `"${shown(text)}" has a bracket without its pair`,
      'write IPv6 as [ADDRESS] or [ADDRESS]:PORT',
    );
  }
  if (host === '') throw wrong(`"${shown(text)}" has no host`, 'write HOST or HOST:PORT');
  if (host.length > LONGEST_HOST || /[\s\p{Cc}"'\\%]/u.test(host) || host.startsWith('-')) {
    throw wrong(`"${shown(host)}" is not the name of a host`, 'write a name or an address');
  }
  return host;
}

function isIPv6(text: string): boolean {
  return LIKE_IPV6.test(text) && isWholeIPv6(text);
}

function rooted(path: string | undefined): string {
  if (path === undefined || path === '') return '/';
  return path.startsWith('/') ? path : `/${path}`;
}

function shown(text: string): string {
  return escapeText(text, 60);
}

function wrong(message: string, hint: string): LocalstreamError {
  return errorOf('USAGE', message, { hint });
}
