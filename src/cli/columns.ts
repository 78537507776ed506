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
