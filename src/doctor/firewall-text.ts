/** What firewalls print about themselves, read. Pure; texts that are not understood are `unknown`, never `ok`. */
import type { Finding, Grade } from './finding.ts';

/** What a program printed. */
interface Printed {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

const MULTICAST = '5353/udp';

function found(subject: string, grade: Grade, text: string, fix?: string): Finding {
  const line = `${subject}: ${text}`;
  return { id: 'firewall', subject, grade, text: line, ...(fix === undefined ? {} : { fix }) };
}

/** `ufw status verbose`. Its own first rules let multicast DNS in; the port has to be allowed. */
export function judgeUfw({ status, output, errors }: Printed, port: number): Finding {
  if (status !== 0) {
    return /root/i.test(errors + output)
      ? found('ufw', 'unknown', 'its rules may be read by root only', 'run doctor once with sudo')
      : found('ufw', 'unknown', 'its rules could not be read');
  }
  if (/^Status: inactive/m.test(output)) return found('ufw', 'ok', 'it is not active');
  if (!/^Status: active/m.test(output)) return found('ufw', 'unknown', 'its answer is not understood');
  const rules = output.split('\n').flatMap((line) => {
    const [, to = '', action = ''] =
      /^(\S+)(?: \(v6\))?\s+(ALLOW|DENY|REJECT|LIMIT)(?: IN)?\s/.exec(line) ?? [];
    return to === '' ? [] : [{ to, action }];
  });
  const multicast = rules.find(({ to }) => to === MULTICAST || to === '5353');
  if (multicast !== undefined && /DENY|REJECT/.test(multicast.action)) {
    return found('ufw', 'problem', 'UDP 5353 is denied: nobody is found', 'ufw allow 5353/udp');
  }
  const rule = rules.find(
    ({ to }) => to === `${port}` || to === `${port}/tcp` || to === 'Anywhere' || covers(to, port),
  );
  const isOpen =
    rule === undefined ? /^Default: allow \(incoming\)/m.test(output) : /ALLOW|LIMIT/.test(rule.action);
  return isOpen
    ? found('ufw', 'ok', `TCP ${port} is allowed in`)
    : found('ufw', 'problem', `TCP ${port} is denied: nobody can connect`, `ufw allow ${port}/tcp`);
}

/** `7000:8000/tcp`, `22,80,7353/tcp`. */
function covers(to: string, port: number): boolean {
  const [, list = ''] = /^([\d:,]+)(?:\/tcp)?$/.exec(to) ?? [];
  return list.split(',').some((part) => {
    const [low = '', high = low] = part.split(':');
    return part !== '' && port >= Number(low) && port <= Number(high);
  });
}

/** `firewall-cmd --list-all-zones`: the active zones have to let both in. */
export function judgeFirewalld({ status, output, errors }: Printed, port: number): Finding {
  if (/not running/i.test(errors + output)) return found('firewalld', 'ok', 'it does not run');
  if (status !== 0)
    return found('firewalld', 'unknown', 'its rules could not be read', 'run doctor once with sudo');
  const zones = output.split(/\n\s*\n/).filter((zone) => /^\S+ \([^)]*active[^)]*\)/.test(zone.trimStart()));
  if (zones.length === 0) return found('firewalld', 'unknown', 'it names no active zone');
  for (const zone of zones) {
    const [name = ''] = zone.trim().split(/\s/);
    const value = (key: string) => new RegExp(`^\\s+${key}: *(.*)$`, 'm').exec(zone)?.[1]?.trim() ?? '';
    if (value('target') === 'ACCEPT') continue;
    const ports = value('ports').split(/\s+/);
    if (!ports.some((entry) => entry.endsWith('/tcp') && within(entry, port))) {
      const fix = `firewall-cmd --permanent --zone=${name} --add-port=${port}/tcp && firewall-cmd --reload`;
      return found('firewalld', 'problem', `zone ${name} keeps TCP ${port} out: nobody can connect`, fix);
    }
    const hasMulticast = value('services').split(/\s+/).includes('mdns');
    if (!hasMulticast && !ports.some((entry) => entry.endsWith('/udp') && within(entry, 5353))) {
      const fix = `firewall-cmd --permanent --zone=${name} --add-service=mdns && firewall-cmd --reload`;
      return found('firewalld', 'problem', `zone ${name} keeps UDP 5353 out: nobody is found`, fix);
    }
  }
  return found('firewalld', 'ok', `TCP ${port} and UDP 5353 are let in`);
}

/** `7000-8000/tcp`, `7353/tcp`. */
function within(entry: string, port: number): boolean {
  const [low = '', high = low] = (entry.split('/')[0] ?? '').split('-');
  return port >= Number(low) && port <= Number(high);
}

/** What macOS's `socketfilterfw` says to `--getglobalstate`, `--getblockall` and `--getappblocked PROGRAM`. */
export function judgeMac(state: string, all: string, ours: string, program: string): Finding {
  const name = 'macOS firewall';
  if (/disabled|State = 0/i.test(state)) return found(name, 'ok', 'it is off');
  if (!/enabled|State = [12]/i.test(state)) return found(name, 'unknown', 'its answer is not understood');
  const fix = 'System Settings, Network, Firewall, Options';
  if (/State = 2/.test(state) || (/enabled|on/i.test(all) && !/disabled|off/i.test(all))) {
    return found(name, 'problem', 'all incoming connections are blocked', fix);
  }
  if (/not part of the firewall/i.test(ours)) {
    return found(
      name,
      'warning',
      `it does not know ${program} yet: it asks when the first listener is opened`,
      fix,
    );
  }
  if (/permitted|allow/i.test(ours)) return found(name, 'ok', `it lets connections to ${program} in`);
  if (/blocked/i.test(ours)) return found(name, 'problem', `it blocks connections to ${program}`, fix);
  return found(name, 'unknown', `what it does with ${program} can't be told`);
}

/** `netsh advfirewall show currentprofile` and the incoming rules, in English; in other languages it can't be told. */
export function judgeWindows(profile: string, rules: string, program: string, port: number): Finding {
  const name = 'Windows firewall';
  const state = /^State\s+(ON|OFF)/m.exec(profile)?.[1];
  if (state === undefined) return found(name, 'unknown', 'its answer is not understood');
  if (state === 'OFF') return found(name, 'ok', 'it is off on this network');
  const policy = /^Firewall Policy\s+(\S+)/m.exec(profile)?.[1] ?? '';
  if (/^AllowInbound/.test(policy)) return found(name, 'ok', 'incoming connections are allowed');
  const fix = `netsh advfirewall firewall add rule name=localstream dir=in action=allow program="${program}" enable=yes`;
  if (/^BlockInboundAlways/.test(policy)) {
    return found(
      name,
      'problem',
      'all incoming connections are blocked',
      'turn that off in Windows Security',
    );
  }
  const ours = rules
    .split(/\r?\n\s*\r?\n/)
    .filter((rule) => /^Enabled:\s+Yes/m.test(rule) && concerns(rule, program, port))
    .map((rule) => /^Action:\s+(\S+)/m.exec(rule)?.[1]);
  if (ours.includes('Block')) return found(name, 'problem', `a rule blocks connections to ${program}`, fix);
  if (ours.includes('Allow')) return found(name, 'ok', `a rule lets connections to ${program} in`);
  return found(name, 'warning', `no rule lets connections to ${program} in`, fix);
}

function concerns(rule: string, program: string, port: number): boolean {
  const path = /^Program:\s+(.*?)\s*$/m.exec(rule)?.[1] ?? '';
  if (path.toLowerCase() === program.toLowerCase()) return true;
  const ports = /^LocalPort:\s+(.*?)\s*$/m.exec(rule)?.[1] ?? '';
  return /^(?:any)?$/i.test(path) && ports.split(',').includes(String(port));
}
