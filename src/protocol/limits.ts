/** The names and bounds that the two ends agree on. Apart from the messages, so that a worker loads no schemas. */

/** The protocol version that this program speaks. */
export const PROTOCOL_VERSION = 1;
/** The ALPN name of the protocol. */
export const ALPN = 'localstream/1';
/** The listener carries out `mkdir`, `move` and `remove`. */
export const CHANGE = 'change';
/** The listener answers `speed`, though not everybody. */
export const SPEED = 'speed';
/** What this program can do beyond the first version of the protocol, as a listener says it. */
export const CAPABILITIES: readonly string[] = [CHANGE, SPEED];
/** Bytes and milliseconds of one test of the speed, at the very most. */
export const MAX_SPEED_BYTES = 1024 ** 3;
export const MAX_SPEED_TIME = 60_000;
/** Entries that one `remove` takes away at the most. */
export const MAX_REMOVED = 256;
/** The first bytes of a connection say what it is. */
export const PREFACE_BYTES = 8;
export const CONTROL_PREFACE = 'LS1 CTRL';
export const LANE_PREFACE = 'LS1 LANE';

/** Bytes of a text that is offered to be shown. */
export const MAX_TEXT = 65_536;
/** Paths in one request, names in one offer: what a pattern of a shell may come to. */
export const MAX_PATHS = 4096;
/** Entries in one page of a listing. */
export const MAX_PAGE = 256;
export const MAX_LANES = 16;
/** Bytes of file data in a frame. */
export const MIN_CHUNK = 1024;
export const MAX_CHUNK = 4 * 1024 * 1024;

/** Other servers of the same users that one names. */
export const MAX_SIBLINGS = 16;
