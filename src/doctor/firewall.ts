/** The firewalls that can be asked: what they do with the port, and with multicast DNS. */
import { platform } from 'node:os';
import { interfaceNames, lanInterfaces } from '../discovery/interfaces.ts';
import type { Settings } from '../settings.ts';
import type { Finding, Surroundings } from './finding.ts';
import { judgeFirewalld, judgeMac, judgeUfw, judgeWindows } from './firewall-text.ts';
import { fateOf, type Packet, parseRuleset, type Ruleset } from './nftables.ts';
import { type Ran, runTool } from './tool.ts';

const MULTICAST_PORT = 5353;
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;
/** Windows takes its time to list hundreds of rules. */
const PATIENCE_WINDOWS = 20_000;

export async function firewall(surroundings: Surroundings): Promise<readonly Finding[]> {
  const system = platform();
  if (system === 'linux') {
    const all = await Promise.all([nftables(surroundings), ufw(surroundings), firewalld(surroundings)]);
    return all.flat();
  }
  if (system === 'darwin') return await mac(surroundings);
  if (system === 'win32') return await windows(surroundings);
  return [unknown(system, 'the firewall of this system can not be asked')];
}

function unknown(subject: string, text: string, fix?: string): Finding {
  return { id: 'firewall', subject, grade: 'unknown', text, ...(fix === undefined ? {} : { fix }) };
}

/** Why a program said nothing. */
function silence(subject: string, ran: Exclude<Ran, { outcome: 'ended' }>): Finding {
  return ran.outcome === 'absent'
    ? unknown(subject, `${subject}: the program is not installed, so its rules can't be told`)
    : unknown(subject, `${subject}: ${ran.reason}`);
}

async function nftables({ settings, signal }: Surroundings): Promise<Finding[]> {
  const ran = await runTool('nft', ['-j', 'list', 'ruleset'], signal);
  if (ran.outcome !== 'ended') return [silence('nftables', ran)];
  const ruleset = ran.status === 0 ? parseRuleset(ran.output) : undefined;
  if (ruleset === undefined) {
    const isDenied = /not permitted|permission denied/i.test(ran.errors);
    const why = isDenied ? 'its rules may be read by root only' : 'its rules could not be read';
    return [unknown('nftables', `nftables: ${why}`, isDenied ? 'run doctor once with sudo' : undefined)];
  }
  return nftablesFindings(ruleset, settings);
}

/** What the rules do with our packets on the interfaces that are used. */
function nftablesFindings(ruleset: Ruleset, settings: Settings): Finding[] {
  const used = lanInterfaces(interfaceNames(settings.discovery.interfaces)).map(({ name }) => name);
  // Without a network, what the rules would do with the next one.
  const names = used.length > 0 ? used : ['eth0'];
  const { port } = settings;
  const kinds = [
    {
      what: `TCP ${port} on its way in`,
      packet: { hook: 'input', protocol: 'tcp', port },
      fix: (chain: string) => `nft insert rule ${chain} tcp dport ${port} accept`,
    },
    {
      what: `UDP ${MULTICAST_PORT} on its way in`,
      packet: { hook: 'input', protocol: 'udp', port: MULTICAST_PORT },
      fix: (chain: string) => `nft insert rule ${chain} udp dport ${MULTICAST_PORT} accept`,
    },
    {
      what: `UDP ${MULTICAST_PORT} on its way out`,
      packet: { hook: 'output', protocol: 'udp', port: MULTICAST_PORT },
      fix: (chain: string) => `nft insert rule ${chain} udp dport ${MULTICAST_PORT} accept`,
    },
  ] as const;
  const findings: Finding[] = [];
  for (const { what, packet, fix } of kinds) {
    const { fate, chain, on } = worst(ruleset, packet, names);
    if (fate === 'passes' || chain === undefined) continue;
    findings.push({
      id: 'firewall',
      subject: 'nftables',
      grade: fate === 'dropped' ? 'problem' : 'warning',
      text:
        fate === 'dropped'
          ? `nftables: ${what} is dropped on ${on} by chain ${chain}`
          : `nftables: ${what} may be dropped on ${on} by chain ${chain}`,
      fix: fix(chain),
    });
  }
  if (findings.length > 0) return findings;
  const text = `nftables: TCP ${port} and UDP ${MULTICAST_PORT} pass`;
  return [{ id: 'firewall', subject: 'nftables', grade: 'ok', text }];
}

function worst(
  ruleset: Ruleset,
  packet: Omit<Packet, 'family' | 'interface'>,
  names: readonly string[],
): { readonly fate: string; readonly chain?: string; readonly on: string } {
  let found: { readonly fate: string; readonly chain?: string; readonly on: string } = {
    fate: 'passes',
    on: '',
  };
  for (const name of names) {
    for (const family of [4, 6] as const) {
      const to = packet.port === MULTICAST_PORT ? { to: GROUPS[family] } : {};
      const verdict = fateOf(ruleset, { ...packet, ...to, family, interface: name });
      const seen = { ...verdict, on: `${name} (IPv${family})` };
      if (verdict.fate === 'dropped' && found.fate !== 'dropped') found = seen;
      else if (verdict.fate === 'perhaps' && found.fate === 'passes') found = seen;
    }
  }
  return found;
}

async function ufw({ settings, signal }: Surroundings): Promise<Finding[]> {
  const ran = await runTool('ufw', ['status', 'verbose'], signal);
  // It only writes rules for nftables: where it is not installed, there are none of it.
  if (ran.outcome === 'absent') return [];
  return [ran.outcome === 'ended' ? judgeUfw(ran, settings.port) : silence('ufw', ran)];
}

async function firewalld({ settings, signal }: Surroundings): Promise<Finding[]> {
  const ran = await runTool('firewall-cmd', ['--list-all-zones'], signal);
  if (ran.outcome === 'absent') return [];
  return [ran.outcome === 'ended' ? judgeFirewalld(ran, settings.port) : silence('firewalld', ran)];
}

async function mac({ signal }: Surroundings): Promise<Finding[]> {
  const program = '/usr/libexec/ApplicationFirewall/socketfilterfw';
  const state = await runTool(program, ['--getglobalstate'], signal);
  if (state.outcome !== 'ended') return [silence('socketfilterfw', state)];
  const [all, ours] = await Promise.all([
    runTool(program, ['--getblockall'], signal),
    runTool(program, ['--getappblocked', process.execPath], signal),
  ]);
  return [judgeMac(state.output, textOf(all), textOf(ours), process.execPath)];
}

async function windows({ settings, signal }: Surroundings): Promise<Finding[]> {
  const state = await runTool('netsh', ['advfirewall', 'show', 'currentprofile'], signal, PATIENCE_WINDOWS);
  if (state.outcome !== 'ended') return [silence('netsh', state)];
  const rules = await runTool(
    'netsh',
    ['advfirewall', 'firewall', 'show', 'rule', 'name=all', 'dir=in', 'verbose'],
    signal,
    PATIENCE_WINDOWS,
  );
  return [judgeWindows(state.output, textOf(rules), process.execPath, settings.port)];
}

function textOf(ran: Ran): string {
  return ran.outcome === 'ended' ? ran.output : '';
}
