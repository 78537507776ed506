/** One service of this machine, published on every link under one name that nobody else has there. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Link } from './link.ts';
import { keyOf, type Message } from './message.ts';
import { Publication } from './publication.ts';
import { buildTxt, hostLabels, instanceName } from './records.ts';

export interface AdvertiseOptions {
  /** As people shall see it; where somebody has it already, ` (2)` and so on is added. */
  readonly name: string;
  readonly port: number;
  readonly fingerprint: Fingerprint;
  /** Whether a user's name and password are wanted. */
  readonly login: boolean;
  /** The public numbers of the pairing codes that are open there. */
  readonly nameplates?: readonly number[];
  /** Address that the port is bound to; all by default. Loopback is never announced. */
  readonly host?: string;
  /** Told when the name has to change later, because somebody else has it. */
  readonly onRename?: (name: string) => void;
}

/** Conflicts in a row after which each new try has to wait (RFC 6762 section 8.1). */
const QUICK_TRIES = 15;
const SLOW_TRY = 5000;

export class Advertisement implements AsyncDisposable {
  readonly #options: AdvertiseOptions;
  readonly #hostLife: number;
  readonly #onError: (error: Error, link: Link) => void;
  readonly #publications = new Map<Link, Publication>();
  readonly #ended = new AbortController();
  readonly #onStop: (advertisement: Advertisement) => void;
  #name: string;
  #attempt = 1;
  #claiming: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  /** @internal See `Discovery.advertise`. `hostLife` in seconds. */
  constructor(
    options: AdvertiseOptions,
    hostLife: number,
    handlers: {
      readonly onError: (error: Error, link: Link) => void;
      readonly onStop: (advertisement: Advertisement) => void;
    },
  ) {
    this.#options = options;
    this.#hostLife = hostLife;
    this.#onError = handlers.onError;
    this.#onStop = handlers.onStop;
    this.#name = instanceName(options.name);
  }

  /** The name that it has on the network; another one after a conflict. */
  get name(): string {
    return this.#name;
  }

  get port(): number {
    return this.#options.port;
  }

  /** @internal Key of the host that its records point to. */
  get hostKey(): string {
    return keyOf(hostLabels(this.#options.fingerprint, this.#options.port));
  }

  /** @internal Publishes on these links as well. Resolves when that is done, or given up because of {@link stop}. */
  async attach(links: readonly Link[]): Promise<void> {
    await this.#claiming;
    const fresh = links.filter((link) => !this.#publications.has(link));
    if (fresh.length === 0 || this.#ended.signal.aborted) return;
    this.#claiming = this.#claim(fresh);
    await this.#claiming;
  }

  /** @internal The link is closed or about to be. */
  async detach(link: Link): Promise<void> {
    const publication = this.#publications.get(link);
    this.#publications.delete(link);
    await publication?.stop();
  }

  /** @internal */
  hear(message: Message, source: string, link: Link): void {
    this.#publications.get(link)?.hear(message, source);
  }

  /** Takes it back: others are told at once. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    this.#ended.abort();
    await Promise.all([...this.#publications.keys()].map((link) => this.detach(link)));
    this.#onStop(this);
  }

  /** Publishes on links until the name is free on all of them; a name that is taken on one is given up on all. */
  async #claim(links: readonly Link[]): Promise<void> {
    const { signal } = this.#ended;
    let fresh = links;
    while (!signal.aborted) {
      const { promise: taken, resolve: onTaken } = Promise.withResolvers<boolean>();
      const all = Promise.all(fresh.map((link) => this.#publish(link, () => onTaken(true))));
      // At the first who has it, before it is announced anywhere else.
      if (!(await Promise.race([taken, all.then(() => false)])) || signal.aborted) return;
      // All links that are left, those with the old name and those that were just tried.
      fresh = [...new Set([...this.#publications.keys(), ...fresh])];
      await this.#giveUpName();
    }
  }

  async #giveUpName(): Promise<void> {
    const publications = [...this.#publications.values()];
    await Promise.all(publications.map((publication) => publication.stop()));
    this.#attempt += 1;
    this.#name = instanceName(this.#options.name, this.#attempt);
    if (this.#attempt > QUICK_TRIES)
      await delay(SLOW_TRY, undefined, { signal: this.#ended.signal, ref: false }).catch(() => {});
    if (!this.#ended.signal.aborted) this.#options.onRename?.(this.#name);
  }

  async #publish(link: Link, onTaken: () => void): Promise<void> {
    const { fingerprint, login, nameplates, port } = this.#options;
    const addresses = this.#addresses(link);
    if (addresses.length === 0) return;
    const publication: Publication = new Publication(
      link,
      {
        name: this.#name,
        host: hostLabels(fingerprint, port),
        port,
        txt: buildTxt(fingerprint, login, nameplates),
        addresses,
        hostLife: this.#hostLife,
      },
      {
        onTaken: () => {
          onTaken();
          void this.#reclaim(link, publication);
        },
        onError: (error) => this.#onError(error, link),
      },
    );
    this.#publications.set(link, publication);
    try {
      await publication.start();
    } catch (error) {
      this.#onError(error instanceof Error ? error : new Error(String(error)), link);
    }
  }

  /** The name was lost after it had been announced. While a claim runs, that one goes on to the next name itself. */
  async #reclaim(link: Link, publication: Publication): Promise<void> {
    await this.#claiming;
    if (this.#ended.signal.aborted || this.#publications.get(link) !== publication) return;
    const links = [...this.#publications.keys()];
    this.#claiming = this.#giveUpName().then(() => this.#claim(links));
    await this.#claiming;
  }

  /** The addresses of the link's interface on which the port answers. */
  #addresses({ lan }: Link): string[] {
    const { host = '::' } = this.#options;
    const all = [...lan.ipv4, ...lan.ipv6];
    if (host === '::') return all;
    if (host === '0.0.0.0') return [...lan.ipv4];
    return all.filter((address) => address === host.split('%')[0]);
  }
}
