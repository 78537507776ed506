/** A row of figures as a row of characters, the newest at the end. */

const BLOCKS = '▁▂▃▄▅▆▇█';
/** For screens whose texts are not UTF-8. */
const PLAIN = '_.,-~=*#';

/**
 * The last `width` figures, as high as they are beside the highest of them. Nothing is drawn at the bottom: a figure above 0
 * always shows.
 */
export function sparkline(figures: readonly number[], width: number, isUnicode = true): string {
  const levels = [...(isUnicode ? BLOCKS : PLAIN)];
  const shown = figures.slice(-width);
  const most = Math.max(0, ...shown);
  return shown
    .map((figure) => {
      if (figure <= 0 || most === 0) return levels[0];
      return levels[Math.max(1, Math.ceil((figure / most) * (levels.length - 1)))];
    })
    .join('');
}
