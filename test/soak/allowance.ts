/** What an interrupted transfer may send more than once. */

/** A frame that is cut off is sent again as a whole, and so is a piece whose digest can't be known. */
export const PIECE_BYTES = 1024 * 1024;

/**
 * What may be on its way when an end dies, on the average of many: the buffers of the sockets of both ends and of the
 * relay between them, 6 MiB each at the most, as the kernel has them. A receiver keeps up with the wire, so that what
 * waits in its slots (64 MiB at the most) is little.
 */
export const IN_FLIGHT_BYTES = 4 * 6 * 1024 * 1024;

/** A receiver brings a file to the disk each time that so much of it was written: a power cut takes no more of it. */
export const UNSYNCED_BYTES = 64 * 1024 * 1024;

/** TLS and the protocol add less than this part of what they carry, and this much for each handshake. */
const OVERHEAD = 0.003;
const HANDSHAKE_BYTES = 64 * 1024;

/** Bytes that may cross for a file of a size whose transfer was cut off so many times, each of which lost so much of it. */
export function allowance(size: number, kills: number, lost = 0): number {
  const sent = size + kills * (IN_FLIGHT_BYTES + PIECE_BYTES + lost);
  return sent * (1 + OVERHEAD) + (kills + 1) * HANDSHAKE_BYTES;
}
