/** This server among those that share its users: it tells that it is there, and whom else there is. */
import { networkInterfaces } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { RegisteredServer, ServerTable } from '../auth/user-store.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';

/** Between two times that it tells that it is there, in milliseconds. */
const TELL_EVERY = 30_000;
/** How long a listener that is closed waits until the others can know it, in milliseconds. */
const LEAVE_PATIENCE = 1000;
const MOST_ADDRESSES = 8;

export class Siblings {
  readonly #registry: () => Promise<ServerTable | undefined>;
  /** The addresses of this server's listeners. */
  readonly #listeners = new Set<readonly string[]>();
  #self: Omit<RegisteredServer, 'addresses'> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();

  /** `registry`: absent where the users are this machine's own. */
  constructor(registry: () => Promise<ServerTable | undefined>) {
    this.#registry = registry;
  }

  /** A listener is open at these addresses. What it returns, when it is closed, says so. */
  join(self: Omit<RegisteredServer, 'addresses'>, addresses: readonly string[]): () => Promise<void> {
    this.#self = self;
    this.#listeners.add(addresses);
    this.#timer ??= setInterval(() => void this.#tell(), TELL_EVERY).unref();
    void this.#tell();
    return async () => {
      this.#listeners.delete(addresses);
      if (this.#listeners.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      // A database that has stalled holds up no listener that is closed: the row grows old by itself.
      await Promise.race([this.#tell(), pause(LEAVE_PATIENCE, undefined, { ref: false })]);
    };
  }

  /** Who else is there. Nobody while the database does not answer, or has no such table. */
  async others(fingerprint: Fingerprint): Promise<readonly RegisteredServer[]> {
    try {
      return (await (await this.#registry())?.others(fingerprint, Date.now())) ?? [];
    } catch {
      return [];
    }
  }

  /** One after the other: the last word is the right one. */
  #tell(): Promise<void> {
    this.#telling = this.#telling.then(async () => {
      const self = this.#self;
      const addresses = [...this.#listeners].flat().slice(0, MOST_ADDRESSES);
      try {
        const registry = await this.#registry();
        if (self === undefined || registry === undefined) return;
        if (addresses.length > 0) await registry.note({ ...self, addresses }, Date.now());
        else await registry.remove(self.fingerprint);
      } catch {
        // Logins tell what is wrong with the database. The next time it is written again.
      }
    });
    return this.#telling;
  }
}

/** Where others reach a listener: its own address, or those of this machine where it is bound to all of them. */
export function addressesOf(host: string, port: number): string[] {
  const write = (address: string) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
  if (host !== '::' && host !== '0.0.0.0') return [write(host)];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid, family }) => !internal && !scopeid && (host === '::' || family === 'IPv4'))
    .map(({ address }) => write(address))
    .slice(0, MOST_ADDRESSES);
}
