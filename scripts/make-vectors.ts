/**
 * Writes the crypto vectors `test/vectors/{identity,session,lane,receipt,sealed}.json`, and those of the wire,
 * `test/vectors/{messages,frames,manifest}.json`.
 *
 * Keys, certificates, OAEP ciphertexts and PSS signatures are random: what a file already holds is kept, so a second run
 * changes nothing. Everything else follows from fixed text. To draw the random parts anew, remove all five files.
 */
import { writeFrameVectors } from './vectors/frames.ts';
import { writeIdentityVectors } from './vectors/identity.ts';
import { writeLaneVectors } from './vectors/lane.ts';
import { writeManifestVectors } from './vectors/manifest.ts';
import { writeMessageVectors } from './vectors/messages.ts';
import { writeReceiptVectors } from './vectors/receipt.ts';
import { writeSealedVectors } from './vectors/sealed.ts';
import { writeSessionVectors } from './vectors/session.ts';

writeIdentityVectors();
writeLaneVectors(writeSessionVectors());
writeReceiptVectors();
writeSealedVectors();
writeMessageVectors();
writeFrameVectors();
writeManifestVectors();
