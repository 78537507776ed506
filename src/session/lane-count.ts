/** How many lanes carry a transfer where its caller says nothing of it. */

/** Round trips above this many milliseconds are worth several lanes. */
const LONG_ROUND_TRIP = 10;
const LANES_FOR_DISTANCE = 4;

/** `setting`: the user's own word for all transfers. `roundTrip` in milliseconds. */
export function laneCount(setting: number | null, roundTrip: number): number {
  return setting ?? (roundTrip > LONG_ROUND_TRIP ? LANES_FOR_DISTANCE : 1);
}
