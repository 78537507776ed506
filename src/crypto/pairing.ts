/**
 * What two machines say to each other over a pairing code: states without input or output. The dialler proves first
 * that it knows the words; a listener that proved first could be asked again and again by who hangs up.
 */
import { errorOf } from '../errors.ts';
import type { Branded } from './brand.ts';
import {
  calculateGenerator,
  confirmationTags,
  lvCat,
  POINT_BYTES,
  type Scalar,
  sampleScalar,
  scalarMult,
  scalarMultVerify,
  sessionKey,
  type Transcript,
} from './cpace.ts';
import { type PairingKey, sameBytes } from './exchange.ts';
import { type Fingerprint, fingerprintBytes } from './fingerprint.ts';

/** What a code is for. It is bound in: a code that was given to send a file makes nobody trusted. */
export type PairingPurpose = 'send' | 'pair';
/** `Ya` or `Yb`, encoded. */
export type PairingShare = Branded<Buffer, 'PairingShare'>;
/** `Ta` or `Tb`. */
export type PairingTag = Branded<Buffer, 'PairingTag'>;

/** What both sides have to agree on. */
export interface PairingInput {
  /** `nebula-duffel`, from `parsePairingCode`. */
  readonly words: string;
  readonly purpose: PairingPurpose;
  readonly nameplate: number;
  /** The dialler's key and the listener's, as the session has proven them. */
  readonly fpC: Fingerprint;
  readonly fpS: Fingerprint;
  /** The session's own contribution: the run counts on this connection alone. */
  readonly key: PairingKey;
}

/** Bytes of a share. */
export const PAIRING_SHARE_BYTES = POINT_BYTES;
/** Bytes of a tag. */
export const PAIRING_TAG_BYTES = 64;

const ADA = Buffer.from('C');
const ADB = Buffer.from('S');

/** The one error of every failure: which of them it was is none of the peer's business. */
function wrongCode(): Error {
  return errorOf('WRONG_CODE');
}

/** The half of a run that both sides have. */
class Run {
  readonly #input: PairingInput;
  readonly #scalar: Scalar;
  readonly share: PairingShare;

  constructor(input: PairingInput, scalar: Scalar) {
    this.#input = input;
    this.#scalar = scalar;
    const { words, purpose, nameplate, fpC, fpS, key } = input;
    const ci = lvCat(
      Buffer.from('localstream/1 pair'),
      Buffer.from(purpose),
      Buffer.from(String(nameplate)),
      fingerprintBytes(fpC),
      fingerprintBytes(fpS),
    );
    this.share = scalarMult(scalar, calculateGenerator(Buffer.from(words), ci, key)) as PairingShare;
  }

  tags(theirs: Uint8Array, transcript: Transcript): { ta: PairingTag; tb: PairingTag } {
    const shared = scalarMultVerify(this.#scalar, theirs);
    // Our own share sent back to us would agree with itself.
    if (shared === undefined || sameBytes(theirs, this.share)) throw wrongCode();
    const isk = sessionKey(this.#input.key, shared, transcript);
    const { ta, tb } = confirmationTags(this.#input.key, isk, transcript);
    return { ta: ta as PairingTag, tb: tb as PairingTag };
  }
}

/** Runs each step once and in order; after a failure, none. */
class Steps {
  #next = 0;

  take(step: number): void {
    if (this.#next !== step) {
      this.#next = Number.POSITIVE_INFINITY;
      throw wrongCode();
    }
    // Until the step is through, it has failed.
    this.#next = Number.POSITIVE_INFINITY;
  }

  done(step: number): void {
    this.#next = step + 1;
  }
}

/** The side that typed the code. It sends {@link share}, then the tag that {@link receiveShare} returns. */
export class PairingDialler {
  readonly #run: Run;
  readonly #steps = new Steps();
  #expected: PairingTag | undefined;

  /** `scalar` is for vectors. */
  constructor(input: PairingInput, scalar: Scalar = sampleScalar()) {
    this.#run = new Run(input, scalar);
  }

  /** `Ya`. */
  get share(): PairingShare {
    return this.#run.share;
  }

  /** Takes `Yb` and returns `Ta`. @throws WRONG_CODE for what is no point. */
  receiveShare(yb: Uint8Array): PairingTag {
    this.#steps.take(0);
    const { ta, tb } = this.#run.tags(yb, { ya: this.share, ada: ADA, yb, adb: ADB });
    this.#expected = tb;
    this.#steps.done(0);
    return ta;
  }

  /** Takes `Tb`. Returns where the listener knows the words. @throws WRONG_CODE where it does not. */
  receiveTag(tb: Uint8Array): void {
    this.#steps.take(1);
    if (this.#expected === undefined || !sameBytes(this.#expected, tb)) throw wrongCode();
    this.#steps.done(1);
  }
}

/** The side that showed the code. Once its {@link receiveShare} has returned, the code is spent. */
export class PairingListener {
  readonly #run: Run;
  readonly #steps = new Steps();
  #tags: { ta: PairingTag; tb: PairingTag } | undefined;

  /** `scalar` is for vectors. */
  constructor(input: PairingInput, scalar: Scalar = sampleScalar()) {
    this.#run = new Run(input, scalar);
  }

  /** Takes `Ya` and returns `Yb`. @throws WRONG_CODE for what is no point. */
  receiveShare(ya: Uint8Array): PairingShare {
    this.#steps.take(0);
    this.#tags = this.#run.tags(ya, { ya, ada: ADA, yb: this.#run.share, adb: ADB });
    this.#steps.done(0);
    return this.#run.share;
  }

  /** Takes `Ta` and returns `Tb`, where the dialler knows the words. @throws WRONG_CODE where it does not. */
  receiveTag(ta: Uint8Array): PairingTag {
    this.#steps.take(1);
    if (this.#tags === undefined || !sameBytes(this.#tags.ta, ta)) throw wrongCode();
    this.#steps.done(1);
    return this.#tags.tb;
  }
}
