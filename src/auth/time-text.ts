/** A time as both databases hold it: `2026-01-31 12:00:00.000`, UTC. */
export function timeText(time: Date): string {
  return time.toISOString().slice(0, 23).replace('T', ' ');
}

/** Reads it back; undefined for anything else, since no right hangs on it. */
export function dateOf(text: string | null): Date | undefined {
  if (text === null || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?$/.test(text)) return undefined;
  const time = new Date(`${text.replace(' ', 'T')}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
