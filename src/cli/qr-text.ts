/** QR codes in a terminal, two modules a character. */
import type { Paint } from './paint.ts';
import type { Stream } from './screen.ts';
import { isUnicode } from './unicode.ts';

/** Modules without anything around a code; the standard asks for four, readers are content with two. */
const QUIET = 2;
/** Lines of the screen that stay free for what is said beside it. */
const SPARE_ROWS = 3;

/** What decides whether a code can be shown. */
export interface QrScreen {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/**
 * A text as a QR code; undefined where the screen can't show it whole. With colour it is black on white. Without, what
 * should be light is drawn: on the usual dark screen that is right, and readers take the other way round as well.
 */
export async function qrLines(
  text: string,
  screen: QrScreen,
  { paper }: Paint,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string[] | undefined> {
  if (screen.isTTY !== true || !isUnicode(env)) return undefined;
  const { encode } = await import('uqr');
  const { data, size } = encode(text, { ecc: 'L', border: QUIET });
  const rows = Math.ceil(size / 2);
  if (size > (screen.columns ?? 0) || rows + SPARE_ROWS > (screen.rows ?? 0)) return undefined;
  const isDrawn = (row: number, column: number) => {
    const isDark = data[row]?.[column] ?? false;
    return paper === undefined ? !isDark && row < size : isDark;
  };
  return Array.from({ length: rows }, (_, line) => {
    const characters = Array.from({ length: size }, (_unused, column) => {
      const [upper, lower] = [isDrawn(2 * line, column), isDrawn(2 * line + 1, column)];
      if (upper) return lower ? '█' : '▀';
      return lower ? '▄' : ' ';
    });
    return paper === undefined ? characters.join('') : paper(characters.join(''));
  });
}

/** The same, told on stderr where it can be shown: it goes with a result and is none. */
export async function showQr(
  {
    screen,
    style,
  }: {
    readonly screen: { readonly stderr: Stream; err(text: string): void };
    readonly style: { readonly json: boolean; readonly errorPaint: Paint };
  },
  text: string,
): Promise<boolean> {
  if (style.json) return false;
  const lines = await qrLines(text, screen.stderr, style.errorPaint);
  if (lines !== undefined) screen.err(`${lines.join('\n')}\n`);
  return lines !== undefined;
}
