/** The network interfaces of this machine, as discovery sees them. */
import { BlockList, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** One interface that packets can be sent on. */
export interface LanInterface {
  readonly name: string;
  /** What stands behind the % of a link-local IPv6 address. */
  readonly zone: string;
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  /** Networks that it is on. */
  readonly subnets: BlockList;
  /** The same for the same configuration. */
  readonly signature: string;
}

/** Host ends of cables into containers: the bridge they hang on has the addresses. */
const CABLE_END = /^veth/;
/** Made for containers, virtual machines and tunnels; what is reached through them is usually reached better. */
const VIRTUAL =
  /^(docker|br-|virbr|vmnet|vboxnet|lxc|lxd|cni|flannel|cali|podman|tun|tap|utun|wg|tailscale|zt|ppp|ipsec|vEthernet)/;

/** The interfaces that the setting names; undefined for all. */
export function interfaceNames(setting: string | null): string[] | undefined {
  const names = setting?.split(',').map((name) => name.trim());
  return names?.filter((name) => name !== '');
}

/** Whether an interface belongs to containers or a tunnel, as far as its name tells. */
export function isVirtual(name: string): boolean {
  return VIRTUAL.test(name);
}

/**
 * Interfaces for discovery: those named, or else all that are neither internal nor without neighbours. Changes come
 * into sight when it is called again: it costs 0.1 ms.
 */
export function lanInterfaces(wanted: readonly string[] | undefined): LanInterface[] {
  const found: LanInterface[] = [];
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (wanted ? !wanted.includes(name) : CABLE_END.test(name)) continue;
    const usable = addresses.filter(
      ({ internal, cidr }) => !internal && cidr !== null && hasNeighbours(cidr),
    );
    const ipv4 = usable.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
    const ipv6 = usable.filter(({ family }) => family === 'IPv6').map(({ address }) => address);
    if (ipv4.length + ipv6.length === 0) continue;
    const subnets = new BlockList();
    for (const { cidr } of usable) addSubnet(subnets, cidr ?? '');
    const scope = usable.find((address) => address.family === 'IPv6' && address.scopeid !== 0);
    const zone = process.platform === 'win32' && scope?.family === 'IPv6' ? String(scope.scopeid) : name;
    const signature = JSON.stringify([name, zone, usable.map(({ cidr }) => cidr)]);
    found.push({ name, zone, ipv4, ipv6, subnets, signature });
  }
  return found;
}

/** A single address is one end of a tunnel: nobody else is on it. */
function hasNeighbours(cidr: string): boolean {
  return !/\/(32|128)$/.test(cidr);
}

function addSubnet(subnets: BlockList, cidr: string): void {
  const [address = '', prefix = ''] = cidr.split('/');
  subnets.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** Whether an address without zone lies in a network of the interface. */
export function isOnSubnet({ subnets }: LanInterface, address: string): boolean {
  return subnets.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** Whether a packet came in by this interface, from where it says that it comes. */
export function isFromLink(lan: LanInterface, source: string): boolean {
  const [address = '', zone] = source.split('%');
  return zone === undefined ? isOnSubnet(lan, address) : zone === lan.zone;
}
