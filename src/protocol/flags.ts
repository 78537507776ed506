/** The reply codes that the two ends share, by number. Made from `config/server_message_flags.json`. */
import flags from '../../config/server_message_flags.json' with { type: 'json' };
import { type ErrorDetail, errorOf, type FlagName, LocalstreamError } from '../errors.ts';

const NAME_BY_NUMBER = new Map<number, FlagName>(
  Object.entries(flags).map(([name, row]) => [row.number, name as FlagName]),
);

/** The number by which a code crosses the wire. */
export function flagNumber(name: FlagName): number {
  return flags[name].number;
}

/** The code of a number; INTERNAL for one that this version does not know, so that a newer peer is still understood. */
export function flagName(number: number): FlagName {
  return NAME_BY_NUMBER.get(number) ?? 'INTERNAL';
}

/** The code of a number that comes with a failure: no peer makes one that counts as done. */
export function failureName(number: number): FlagName {
  const name = flagName(number);
  return name === 'OK' ? 'INTERNAL' : name;
}

/** The code under which an error of this side is told to a peer: local causes stay here. */
export function flagOfError(error: unknown): FlagName {
  if (!(error instanceof LocalstreamError)) return 'INTERNAL';
  // Ended by a signal: somebody stopped it, and nothing failed.
  if (error.code === 'TERMINATED') return 'CANCELLED';
  return error.code in flags ? (error.code as FlagName) : 'INTERNAL';
}

/** The error that a peer's flag stands for. `detail` is the peer's text and must be escaped before it is shown. */
export function errorFromPeer(
  number: number,
  detail: string | undefined,
  more?: ErrorDetail,
): LocalstreamError {
  const name = failureName(number);
  return errorOf(name, detail === undefined || detail === '' ? flags[name].meaning : detail, more);
}
