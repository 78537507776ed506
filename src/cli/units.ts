/** Numbers for people. Decimal units throughout, as disks and networks are sold: 1 MB is 10^6 bytes. */

/** Told wherever sizes are explained. */
export const UNITS_NOTE = 'Sizes are decimal: 1 kB = 1000 bytes, 1 MB = 10^6, 1 GB = 10^9.';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** `0 B`, `999 B`, `1.50 kB`, `14.2 MB`, `104 GB`: three digits, so never more than seven characters. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 999.5 would be written with four digits.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Bytes a second, `14.2 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/** Seconds as a clock: `0:07`, `12:30`, `3:07:05`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours === 0 ? `${minutes}:${two(whole % 60)}` : `${hours}:${two(minutes)}:${two(whole % 60)}`;
}

/** How long something took: `0.42 s`, `12.3 s`, `2:05 min`, `1:02:03 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  return `${formatClock(seconds)} ${Math.round(seconds) < 3600 ? 'min' : 'h'}`;
}

/** A count with its noun: `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A local time as `2026-03-01 14:05`, always 16 characters. */
export function formatTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  if (Number.isNaN(date.getTime())) return '????-??-?? ??:??';
  const year = String(Math.min(9999, Math.max(0, date.getFullYear()))).padStart(4, '0');
  return `${year}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
