/** Whether anything answers at an address, and how long that takes. */
import { dialTcp } from '../client/dial.ts';
import { LocalstreamError } from '../errors.ts';
import { type Finding, fixOf, reasonOf } from './finding.ts';

export interface Reached {
  readonly place: { readonly host: string; readonly port: number };
  readonly finding: Finding;
  /** One round trip; undefined where nothing answers. */
  readonly milliseconds: number | undefined;
  readonly error?: LocalstreamError;
}

/** Connects and hangs up. Throws when the signal aborts, and never else. */
export async function reach(
  place: Reached['place'],
  patience: number,
  signal: AbortSignal,
): Promise<Reached> {
  const { host, port } = place;
  try {
    const { raw, roundTrip } = await dialTcp(place, patience, signal);
    raw.destroy();
    const milliseconds = Math.round(roundTrip * 100) / 100;
    const text = `${host}, port ${port} answers after ${milliseconds.toFixed(1)} ms`;
    return { place, milliseconds, finding: { id: 'reach', subject: host, grade: 'ok', text, milliseconds } };
  } catch (error) {
    signal.throwIfAborted();
    const finding: Finding = {
      id: 'reach',
      subject: host,
      grade: 'warning',
      text: reasonOf(error),
      ...fixOf(error),
    };
    return {
      place,
      milliseconds: undefined,
      finding,
      ...(error instanceof LocalstreamError ? { error } : {}),
    };
  }
}
