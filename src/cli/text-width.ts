/** Columns that text takes in a terminal. Loaded only where a text is not plain ASCII. */
import measure from 'fast-string-truncated-width';

/** Columns that a text takes; escapes for colour take none. */
export function widthOf(text: string): number {
  return measure(text).width;
}

/** The text cut to `columns`, with dots where something was cut off. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return '';
  const dots = columns > 5 ? '...' : '';
  const { index, truncated, ellipsed } = measure(text, { limit: columns, ellipsis: dots });
  if (!truncated) return text;
  return `${text.slice(0, index)}${ellipsed ? dots : ''}`;
}
