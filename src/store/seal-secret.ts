import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { SEAL_SECRET_BYTES, type SealSecret } from '../crypto/envelope-repeat.ts';
import type { Identity } from '../crypto/identity.ts';
import { KEPT_SECRET_BYTES, openKept, sealKept } from '../crypto/kept-secret.ts';
import type { Home } from './home.ts';
import { JsonFile, type Warn } from './json-file.ts';
import { timeStamp } from './time-stamp.ts';

/** A secret is drawn anew after so long, in milliseconds: seals that are older can't be opened by way of it any more. */
const LIFETIME = 7 * 86_400_000;

/** What the secret is sealed for. */
const PURPOSE = 'seals that go on';

const SCHEMA = v.object({
  /** Under the identity: see `crypto/kept-secret.ts`. */
  sealed: v.nullable(v.pipe(v.string(), v.base64(), v.length(Math.ceil(KEPT_SECRET_BYTES / 3) * 4))),
  since: timeStamp,
});
type Content = v.InferOutput<typeof SCHEMA>;

/** Keeps the secret by which a seal comes out the same when its transfer goes on, also in another run. */
export class SealSecrets {
  readonly #file: JsonFile<Content>;
  readonly #identity: Identity;
  readonly #now: () => number;

  constructor(home: Home, identity: Identity, warn?: Warn, now: () => number = Date.now) {
    this.#identity = identity;
    this.#now = now;
    this.#file = new JsonFile({
      path: home.sealingFile,
      version: 1,
      schema: SCHEMA,
      empty: () => ({ sealed: null, since: new Date(0) }),
      ...(warn === undefined ? {} : { warn }),
    });
  }

  /** The secret of these days. Throws STATE. */
  async get(): Promise<SealSecret> {
    const kept = this.#open(await this.#file.read());
    if (kept !== undefined) return kept;
    const drawn = randomBytes(SEAL_SECRET_BYTES) as SealSecret;
    const sealed = sealKept(this.#identity, PURPOSE, drawn).toString('base64');
    const content = await this.#file.update((found) =>
      this.#open(found) === undefined ? { sealed, since: new Date(this.#now()) } : undefined,
    );
    return this.#open(content) ?? drawn;
  }

  /** Undefined where it is too old, or another identity's. */
  #open({ sealed, since }: Content): SealSecret | undefined {
    if (sealed === null || Math.abs(this.#now() - since.getTime()) >= LIFETIME) return undefined;
    const secret = openKept(this.#identity, PURPOSE, Buffer.from(sealed, 'base64'));
    return secret?.length === SEAL_SECRET_BYTES ? (secret as Buffer as SealSecret) : undefined;
  }
}
