/** Columns that text takes in a terminal. Loaded only where a text is not plain ASCII, or bars are drawn. */
import measure from 'fast-string-truncated-width';

const ASCII = /^[\x20-\x7e]*$/;
const DOTS = '...';
/** Fewer columns than this are not worth the dots. */
const LEAST_WITH_DOTS = 6;

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Columns that a text takes; escapes for colour take none. */
export function widthOf(text: string): number {
  return measure(text).width;
}

/** The text cut to `columns`, between characters as people see them, with dots where something was cut off. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const dots = columns < LEAST_WITH_DOTS ? '' : DOTS;
  const room = Math.max(0, columns - dots.length);
  if (ASCII.test(text)) return text.slice(0, room) + dots;
  const kept: string[] = [];
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    width += widthOf(segment);
    if (width > room) break;
    kept.push(segment);
  }
  // Characters can be wider together than one by one.
  while (kept.length > 0 && widthOf(kept.join('')) > room) kept.pop();
  return kept.join('') + dots;
}
