/** Fingerprints as words, which two people can read to each other. */
import { type Fingerprint, fingerprintBytes } from './fingerprint.ts';
import { pairingWords } from './word-list.ts';

/** Words of a fingerprint: 124 bits of it, about what an RSA key of 3072 bits is worth itself. */
const FINGERPRINT_WORDS = 12;

const BITS = 256n;

/**
 * The fingerprint as {@link FINGERPRINT_WORDS} words of the list that pairing codes use: the 256 bits are a fraction of 1,
 * and these are its first digits in the number system that has the words for digits.
 */
export function fingerprintWords(fingerprint: Fingerprint): string[] {
  const base = BigInt(pairingWords.length);
  let rest = BigInt(`0x${fingerprintBytes(fingerprint).toString('hex')}`);
  return Array.from({ length: FINGERPRINT_WORDS }, () => {
    rest *= base;
    const digit = Number(rest >> BITS);
    rest &= (1n << BITS) - 1n;
    return pairingWords[digit] ?? '';
  });
}
