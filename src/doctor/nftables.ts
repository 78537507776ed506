/** Reads a ruleset as `nft -j list ruleset` prints it, and says what becomes of a packet in it. Pure. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import * as v from 'valibot';

/** A packet of ours, as far as rules look at it. */
export interface Packet {
  readonly hook: 'input' | 'output';
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly family: 4 | 6;
  /** Where it goes, where that is always the same. */
  readonly to?: string;
  /** The interface that it comes in or goes out by. */
  readonly interface: string;
}

/** What becomes of it. `perhaps`: it depends on what only the kernel can tell. */
export interface Verdict {
  readonly fate: 'passes' | 'dropped' | 'perhaps';
  /** The chain that drops it, as `FAMILY TABLE CHAIN`. */
  readonly chain?: string;
}

const CHAIN = v.object({
  family: v.string(),
  table: v.string(),
  name: v.string(),
  hook: v.optional(v.string()),
  type: v.optional(v.string()),
  prio: v.optional(v.number()),
  policy: v.optional(v.string()),
});
const RULE = v.object({
  family: v.string(),
  table: v.string(),
  chain: v.string(),
  expr: v.array(v.record(v.string(), v.unknown())),
});
const RULESET = v.object({ nftables: v.array(v.record(v.string(), v.unknown())) });

type Chain = v.InferOutput<typeof CHAIN>;
type Statement = Readonly<Record<string, unknown>>;
type Fate = 'accept' | 'drop' | 'through';

export interface Ruleset {
  readonly chains: readonly Chain[];
  /** By `FAMILY TABLE CHAIN`. */
  readonly rules: ReadonlyMap<string, readonly (readonly Statement[])[]>;
}

/** Undefined for anything that is no ruleset. */
export function parseRuleset(text: string): Ruleset | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = v.safeParse(RULESET, value);
  if (!parsed.success) return undefined;
  const chains: Chain[] = [];
  const rules = new Map<string, Statement[][]>();
  for (const { chain, rule } of parsed.output.nftables) {
    const asChain = v.safeParse(CHAIN, chain);
    if (asChain.success) chains.push(asChain.output);
    const asRule = v.safeParse(RULE, rule);
    if (!asRule.success) continue;
    const { family, table, chain: of, expr } = asRule.output;
    const key = `${family} ${table} ${of}`;
    rules.set(key, [...(rules.get(key) ?? []), expr]);
  }
  return { chains, rules };
}

/** Takes a packet through all chains of its hook: any of them may drop it. */
export function fateOf(ruleset: Ruleset, packet: Packet): Verdict {
  const families = ['inet', packet.family === 4 ? 'ip' : 'ip6'];
  const bases = ruleset.chains
    .filter(
      ({ family, hook, type }) => families.includes(family) && hook === packet.hook && type === 'filter',
    )
    .sort((a, b) => (a.prio ?? 0) - (b.prio ?? 0));
  let perhaps: string | undefined;
  for (const base of bases) {
    const chain = `${base.family} ${base.table} ${base.name}`;
    const fates = walk(ruleset, chain, packet, 0);
    if (fates.delete('through')) fates.add(base.policy === 'drop' ? 'drop' : 'accept');
    if (!fates.has('drop')) continue;
    if (fates.size === 1) return { fate: 'dropped', chain };
    perhaps ??= chain;
  }
  return perhaps === undefined ? { fate: 'passes' } : { fate: 'perhaps', chain: perhaps };
}

/** The kernel allows sixteen jumps within each other. */
const DEEPEST = 16;

/** Everything that a chain may do with the packet. */
function walk(ruleset: Ruleset, chain: string, packet: Packet, depth: number): Set<Fate> {
  const fates = new Set<Fate>();
  if (depth > DEEPEST) return new Set(['accept', 'drop']);
  for (const expr of ruleset.rules.get(chain) ?? []) {
    const { done, isSure } = apply(ruleset, expr, chain, packet, depth);
    if (done === undefined) continue;
    const passes = done.fates.has('through');
    for (const fate of done.fates) if (fate !== 'through' || done.leaves) fates.add(fate);
    if (isSure && (done.leaves || !passes)) return fates;
  }
  fates.add('through');
  return fates;
}

/** What one rule does, if anything, and whether that is sure. */
function apply(
  ruleset: Ruleset,
  expr: readonly Statement[],
  chain: string,
  packet: Packet,
  depth: number,
): { readonly done: Done | undefined; readonly isSure: boolean } {
  let isSure = true;
  for (const statement of expr) {
    const matches = look(statement, packet);
    if (matches === false) break;
    if (matches === undefined) isSure = false;
    const done = verdictOf(ruleset, statement, chain, packet, depth);
    if (done !== undefined) return { done, isSure };
  }
  return { done: undefined, isSure };
}

interface Done {
  readonly fates: Set<Fate>;
  /** What passes does not come back to this chain. */
  readonly leaves: boolean;
}

/** What a statement decides; undefined where it decides nothing. */
function verdictOf(
  ruleset: Ruleset,
  statement: Statement,
  chain: string,
  packet: Packet,
  depth: number,
): Done | undefined {
  if ('accept' in statement) return { fates: new Set(['accept']), leaves: true };
  if ('drop' in statement || 'reject' in statement) return { fates: new Set(['drop']), leaves: true };
  if ('return' in statement) return { fates: new Set(['through']), leaves: true };
  if ('vmap' in statement) return mapped(ruleset, statement['vmap'], chain, packet, depth);
  // A program in user space decides, or a part of iptables that says nothing of itself here.
  if ('queue' in statement || ('xt' in statement && !isForeignMatch(statement)))
    return { fates: new Set(['accept', 'drop', 'through']), leaves: false };
  for (const way of ['jump', 'goto']) {
    if (!(way in statement)) continue;
    const target = targetOf(statement[way]);
    const name = `${chain.split(' ').slice(0, 2).join(' ')} ${target}`;
    return { fates: walk(ruleset, name, packet, depth + 1), leaves: way === 'goto' };
  }
  return undefined;
}

const VERDICT_MAP = v.object({
  key: v.record(v.string(), v.unknown()),
  data: v.object({ set: v.array(v.tuple([v.unknown(), v.record(v.string(), v.unknown())])) }),
});

/** `ct state vmap { established : accept, invalid : drop }`. */
function mapped(
  ruleset: Ruleset,
  map: unknown,
  chain: string,
  packet: Packet,
  depth: number,
): Done | undefined {
  const anything: Done = { fates: new Set(['accept', 'drop', 'through']), leaves: false };
  const parsed = v.safeParse(VERDICT_MAP, map);
  if (!parsed.success) return anything;
  const known = partOf(parsed.output.key, packet);
  if (known === undefined) return anything;
  for (const [key, verdict] of parsed.output.data.set) {
    const isIt = contains(key, known);
    if (isIt === undefined) return anything;
    if (isIt) return verdictOf(ruleset, verdict, chain, packet, depth);
  }
  return undefined;
}

/** A match of iptables, whose terms are not shown. */
function isForeignMatch(statement: Statement): boolean {
  return v.is(v.object({ type: v.literal('match') }), statement['xt']);
}

function targetOf(value: unknown): string {
  const parsed = v.safeParse(v.object({ target: v.string() }), value);
  return parsed.success ? parsed.output.target : '';
}

const MATCH = v.object({ op: v.string(), left: v.record(v.string(), v.unknown()), right: v.unknown() });

/** Whether a statement lets the packet go on in its rule: true, false, or undefined where it can't be told. */
function look(statement: Statement, packet: Packet): boolean | undefined {
  if ('limit' in statement || 'ct count' in statement || 'quota' in statement || isForeignMatch(statement))
    return undefined;
  if (!('match' in statement)) return true;
  const match = v.safeParse(MATCH, statement['match']);
  if (!match.success) return undefined;
  const { op, left, right } = match.output;
  const known = partOf(left, packet);
  if (known === undefined) return undefined;
  // A rule about TCP says nothing of UDP, whatever it wants of it.
  if (known === OTHER) return false;
  const isIn = contains(right, known);
  if (isIn === undefined) return undefined;
  if (op === '==' || op === 'in') return isIn;
  return op === '!=' ? !isIn : undefined;
}

/** What a packet of another protocol has there. */
const OTHER = 'another protocol';

/** What the packet has where a rule looks. */
function partOf(left: Readonly<Record<string, unknown>>, packet: Packet): string | number | undefined {
  const { payload, meta, ct } = left;
  const field = v.safeParse(v.object({ protocol: v.string(), field: v.string() }), payload);
  if (field.success) {
    const { protocol, field: name } = field.output;
    if (protocol === 'tcp' || protocol === 'udp') {
      if (protocol !== packet.protocol) return OTHER;
      return name === 'dport' ? packet.port : undefined;
    }
    if (protocol === 'th' && name === 'dport') return packet.port;
    const ofOther = packet.family === 4 ? 'ip6' : 'ip';
    if (protocol === ofOther || protocol === 'icmp' || protocol === 'icmpv6') return OTHER;
    if (name === 'daddr' && packet.to !== undefined) return packet.to;
    if (protocol === 'ip' && name === 'protocol') return packet.protocol;
    if (protocol === 'ip6' && name === 'nexthdr') return packet.protocol;
    return undefined;
  }
  const key = v.safeParse(v.object({ key: v.string() }), meta);
  if (key.success) return metaOf(key.output.key, packet);
  const state = v.safeParse(v.object({ key: v.string() }), ct);
  return state.success && state.output.key === 'state' ? 'new' : undefined;
}

function metaOf(key: string, { hook, protocol, family, interface: name }: Packet): string | undefined {
  if (key === 'l4proto') return protocol;
  if (key === 'nfproto') return family === 4 ? 'ipv4' : 'ipv6';
  if (key === 'protocol') return family === 4 ? 'ip' : 'ip6';
  if (key === 'iifname' || key === 'iif') return hook === 'input' ? name : '';
  if (key === 'oifname' || key === 'oif') return hook === 'output' ? name : '';
  return undefined;
}

/** Whether a value is what stands on the right of a match: one, several, a range, or a pattern of a name. */
function contains(right: unknown, value: string | number): boolean | undefined {
  if (typeof right === 'number') return right === value;
  if (typeof right === 'string') {
    if (right.startsWith('@')) return undefined;
    if (right.endsWith('*') && typeof value === 'string') return value.startsWith(right.slice(0, -1));
    return right === value;
  }
  if (Array.isArray(right)) return anyOf(right, value);
  const set = v.safeParse(v.object({ set: v.array(v.unknown()) }), right);
  if (set.success) return anyOf(set.output.set, value);
  const range = v.safeParse(v.object({ range: v.tuple([v.number(), v.number()]) }), right);
  if (range.success) {
    const [low, high] = range.output.range;
    return typeof value === 'number' && value >= low && value <= high;
  }
  const prefix = v.safeParse(PREFIX, right);
  return prefix.success && typeof value === 'string' ? isBelow(prefix.output.prefix, value) : undefined;
}

const PREFIX = v.object({ prefix: v.object({ addr: v.string(), len: v.number() }) });

function isBelow(
  { addr, len }: { readonly addr: string; readonly len: number },
  address: string,
): boolean | undefined {
  if (isIP(addr) === 0 || isIP(address) === 0) return undefined;
  const list = new BlockList();
  const family = (text: string) => (isIPv6(text) ? 'ipv6' : 'ipv4');
  list.addSubnet(addr, len, family(addr));
  return isIP(addr) === isIP(address) && list.check(address, family(address));
}

function anyOf(all: readonly unknown[], value: string | number): boolean | undefined {
  const answers = all.map((one) => contains(one, value));
  if (answers.includes(true)) return true;
  return answers.includes(undefined) ? undefined : false;
}
