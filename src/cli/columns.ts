/** Tables that stay straight, whatever the width of the characters in them. */

const GAP = '  ';
const ASCII = /^[\x20-\x7e]*$/;

/** Rows of cells as lines; every column but the last is padded to its widest cell. */
export async function alignColumns(rows: readonly (readonly string[])[]): Promise<string[]> {
  const isPlain = rows.every((row) => row.every((cell) => ASCII.test(cell)));
  const widthOf = isPlain ? (cell: string) => cell.length : (await import('./text-width.ts')).widthOf;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
    }
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)),
      )
      .join(GAP)
      .trimEnd(),
  );
}

/** Names that are shown of a longer list. */
const MOST_NAMES = 100;

/** Names side by side, down the columns of a screen, as ls writes them. */
export async function columnLines(names: readonly string[], columns: number): Promise<string[]> {
  const { widthOf } = await import('./text-width.ts');
  const shown = names.slice(0, MOST_NAMES);
  const width = Math.max(...shown.map(widthOf)) + GAP.length;
  const across = Math.max(1, Math.floor(columns / width));
  const down = Math.ceil(shown.length / across);
  const lines = Array.from({ length: down }, (_, row) =>
    shown
      .filter((_name, index) => index % down === row)
      .map((name) => name + ' '.repeat(width - widthOf(name)))
      .join('')
      .trimEnd(),
  );
  return names.length > shown.length ? [...lines, `and ${names.length - shown.length} more`] : lines;
}
