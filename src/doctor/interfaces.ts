/** The interfaces of this machine, and which of them discovery uses. */
import { networkInterfaces } from 'node:os';
import { interfaceNames, isVirtual, lanInterfaces } from '../discovery/interfaces.ts';
import type { Finding, Surroundings } from './finding.ts';

export async function interfaces({ settings }: Surroundings): Promise<readonly Finding[]> {
  const wanted = interfaceNames(settings.discovery.interfaces);
  const used = new Map(lanInterfaces(wanted).map((lan) => [lan.name, lan]));
  const all = Object.entries(networkInterfaces());
  const findings: Finding[] = [];
  for (const [name, addresses = []] of all) {
    if (addresses.every(({ internal }) => internal)) continue;
    const shown = addresses.map(({ address }) => address).join(', ');
    const standing = used.has(name)
      ? isVirtual(name)
        ? 'used; a container or tunnel, tried last'
        : 'used'
      : wanted === undefined
        ? 'not used: nobody else is on it'
        : 'not used: the setting discovery.interfaces does not name it';
    findings.push({ id: 'interfaces', subject: name, grade: 'ok', text: `${name} (${shown}): ${standing}` });
  }
  for (const name of wanted ?? []) {
    if (used.has(name)) continue;
    findings.push({
      id: 'interfaces',
      subject: name,
      grade: 'warning',
      text: `${name} of the setting discovery.interfaces is not there, or has no address with neighbours`,
      fix: 'localstream config set discovery.interfaces NAME,... or localstream config unset discovery.interfaces',
    });
  }
  if (used.size === 0) {
    findings.push({
      id: 'interfaces',
      grade: 'problem',
      text: 'no interface has an address in a network with others',
      fix: 'connect to the network: plug the cable in, or join the Wi-Fi',
    });
  }
  return findings;
}
