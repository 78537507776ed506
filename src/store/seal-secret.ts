import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { SEAL_SECRET_BYTES, type SealSecret } from '../crypto/envelope-repeat.ts';
import type { Home } from './home.ts';
import { JsonFile, type Warn } from './json-file.ts';
import { timeStamp } from './time-stamp.ts';

/** A secret is drawn anew after so long, in milliseconds: seals that are older can't be opened by way of it any more. */
const LIFETIME = 7 * 86_400_000;

const SCHEMA = v.object({
  secret: v.nullable(v.pipe(v.string(), v.base64(), v.length(Math.ceil(SEAL_SECRET_BYTES / 3) * 4))),
  since: timeStamp,
});

/** Keeps the secret by which a seal comes out the same when its transfer goes on, also in another run. */
export class SealSecrets {
  readonly #file: JsonFile<v.InferOutput<typeof SCHEMA>>;
  readonly #now: () => number;

  constructor(home: Home, warn?: Warn, now: () => number = Date.now) {
    this.#now = now;
    this.#file = new JsonFile({
      path: home.sealingFile,
      version: 1,
      schema: SCHEMA,
      empty: () => ({ secret: null, since: new Date(0) }),
      ...(warn === undefined ? {} : { warn }),
    });
  }

  /** The secret of these days. Throws STATE. */
  async get(): Promise<SealSecret> {
    const isGood = ({ secret, since }: v.InferOutput<typeof SCHEMA>) =>
      secret !== null && Math.abs(this.#now() - since.getTime()) < LIFETIME;
    const kept = await this.#file.read();
    const { secret } = isGood(kept)
      ? kept
      : await this.#file.update((found) =>
          isGood(found)
            ? undefined
            : { secret: randomBytes(SEAL_SECRET_BYTES).toString('base64'), since: new Date(this.#now()) },
        );
    return Buffer.from(secret ?? '', 'base64') as SealSecret;
  }
}
