/** Discovery on the local network: multicast DNS on every interface, as they come and go. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { systemCode } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { Advertisement, type AdvertiseOptions } from './advertisement.ts';
import { Browser } from './browser.ts';
import { interfaceNames, type LanInterface, lanInterfaces } from './interfaces.ts';
import { Link, type LinkCounts } from './link.ts';
import type { Message } from './message.ts';
import type { Sighting } from './peer-table.ts';
import { hintOf } from './records.ts';

export interface DiscoveryOptions {
  readonly settings: Pick<Settings, 'discovery'>;
  /** Of this machine: marks what its other processes announce as its own. */
  readonly fingerprint?: Fingerprint;
  /** Told once of each thing that is wrong and goes on: a port that can't be shared, an interface without multicast. */
  readonly onWarning?: (message: string) => void;
}

/** Milliseconds between two looks at the interfaces. */
const LOOK = 2000;
/** A look that comes so late was slept through, and the network may be another one. */
const SLEPT = 15_000;
const RETRY_FAILED = 30_000;

export class Discovery implements AsyncDisposable {
  readonly #options: DiscoveryOptions;
  readonly #wanted: readonly string[] | undefined;
  readonly #links = new Map<string, Link>();
  readonly #failed = new Map<string, { readonly signature: string; readonly at: number }>();
  readonly #advertisements = new Set<Advertisement>();
  readonly #browsers = new Set<Browser>();
  readonly #told = new Set<string>();
  #ownAddresses: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lastLook = Date.now();
  #stopping: Promise<void> | undefined;

  private constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#wanted = interfaceNames(options.settings.discovery.interfaces);
  }

  /** Opens a socket on every suitable interface. Does not fail: what does not work is told, and tried again. */
  static async start(options: DiscoveryOptions): Promise<Discovery> {
    const discovery = new Discovery(options);
    await discovery.#look();
    discovery.#timer = setInterval(() => void discovery.#look(), LOOK);
    return discovery;
  }

  /** The interfaces that are in use. */
  get interfaces(): string[] {
    return [...new Set([...this.#links.values()].map(({ lan }) => lan.name))];
  }

  /** Packets since the sockets were opened. */
  get counts(): LinkCounts {
    const sum = { sent: 0, received: 0, refused: 0 };
    for (const { counts } of this.#links.values()) {
      sum.sent += counts.sent;
      sum.received += counts.received;
      sum.refused += counts.refused;
    }
    return sum;
  }

  /** Makes a port known. Resolves within about a second, when the name is settled and announced. */
  async advertise(options: AdvertiseOptions): Promise<Advertisement> {
    const hostLife = Math.round(this.#options.settings.discovery.lifetime / 1000);
    const advertisement = new Advertisement(options, hostLife, {
      onError: (error, link) => this.#warn(error, link.lan, link.family),
      onStop: (stopped) => this.#advertisements.delete(stopped),
    });
    this.#advertisements.add(advertisement);
    await advertisement.attach([...this.#links.values()]);
    return advertisement;
  }

  /** Begins to look for peers. Nobody is dialled. */
  browse(): Browser {
    const browser = new Browser({
      isOwn: (sighting) => this.#isOwn(sighting),
      onError: (error, link) => this.#warn(error, link.lan, link.family),
      onStop: (stopped) => this.#browsers.delete(stopped),
    });
    this.#browsers.add(browser);
    for (const link of this.#links.values()) browser.attach(link);
    return browser;
  }

  /** Says goodbye for everything that was announced and closes the sockets. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    for (const browser of [...this.#browsers]) browser.stop();
    await Promise.all([...this.#advertisements].map((advertisement) => advertisement.stop()));
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    this.#links.clear();
  }

  /** Follows the interfaces. One look at a time. */
  #look(): Promise<void> {
    this.#looking ??= this.#follow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #follow(): Promise<void> {
    const now = Date.now();
    const slept = now - this.#lastLook > SLEPT;
    this.#lastLook = now;
    const interfaces = lanInterfaces(this.#wanted);
    this.#ownAddresses = new Set(interfaces.flatMap(({ ipv4, ipv6 }) => [...ipv4, ...ipv6]));
    const wanted = new Map<string, { readonly lan: LanInterface; readonly family: 4 | 6 }>();
    for (const lan of interfaces) {
      if (lan.ipv4.length > 0) wanted.set(`${lan.name} 4`, { lan, family: 4 });
      if (lan.ipv6.length > 0) wanted.set(`${lan.name} 6`, { lan, family: 6 });
    }
    for (const [key, link] of [...this.#links]) {
      if (slept || wanted.get(key)?.lan.signature !== link.lan.signature) await this.#drop(key, link);
    }
    const fresh: Link[] = [];
    for (const [key, { lan, family }] of wanted) {
      if (this.#links.has(key) || this.#hasFailed(key, lan, now)) continue;
      const link = await this.#open(key, lan, family);
      if (link) fresh.push(link);
    }
    if (fresh.length === 0) return;
    for (const browser of this.#browsers) for (const link of fresh) browser.attach(link);
    for (const advertisement of this.#advertisements) void advertisement.attach(fresh);
  }

  #hasFailed(key: string, { signature }: LanInterface, now: number): boolean {
    const failed = this.#failed.get(key);
    return failed?.signature === signature && now - failed.at < RETRY_FAILED;
  }

  async #open(key: string, lan: LanInterface, family: 4 | 6): Promise<Link | undefined> {
    try {
      const link = await Link.open(lan, family, {
        onMessage: (message, source, from) => this.#hear(message, source, from),
        onFailure: (error, failed) => {
          this.#fail(key, error, lan, family);
          void this.#drop(key, failed);
        },
      });
      this.#links.set(key, link);
      return link;
    } catch (error) {
      this.#fail(key, error instanceof Error ? error : new Error(String(error)), lan, family);
      return undefined;
    }
  }

  #fail(key: string, error: Error, lan: LanInterface, family: 4 | 6): void {
    this.#failed.set(key, { signature: lan.signature, at: Date.now() });
    this.#warn(error, lan, family);
  }

  async #drop(key: string, link: Link): Promise<void> {
    if (this.#links.get(key) === link) this.#links.delete(key);
    for (const browser of this.#browsers) browser.detach(link);
    await Promise.all([...this.#advertisements].map((advertisement) => advertisement.detach(link)));
    await link.close();
  }

  #hear(message: Message, source: string, link: Link): void {
    for (const advertisement of this.#advertisements) advertisement.hear(message, source, link);
    for (const browser of this.#browsers) browser.hear(message, source, link);
  }

  #isOwn({ host, fingerprintHint, source }: Sighting): boolean {
    for (const { hostKey } of this.#advertisements) if (hostKey === host) return true;
    const { fingerprint } = this.#options;
    if (fingerprint === undefined || fingerprintHint !== hintOf(fingerprint)) return false;
    return this.#ownAddresses.has(source.split('%')[0] ?? '');
  }

  #warn(error: Error, lan: LanInterface, family: 4 | 6): void {
    const reason = systemCode(error) ?? error.message;
    const message = `discovery by IPv${family} on ${lan.name} does not work: ${reason}`;
    if (this.#told.has(message) || this.#stopping) return;
    this.#told.add(message);
    this.#options.onWarning?.(message);
  }
}
