/**
 * Text from outside (names, device names, reasons, records), made fit to be shown: in a prompt, a progress line, a
 * table, a log. What a terminal would act on, what reorders or hides its neighbours and what has no width is spelled
 * out instead. The result is for eyes only and can't be read back: a backslash stays one backslash.
 */

/** Characters of a shown text when nothing else is asked for. */
export const SHOWN_CHARACTERS = 200;

/** More marks than scripts stack on one letter; what is above them would spill over the neighbouring lines. */
const MOST_MARKS = 4;

const PLAIN = /^[\x20-\x7e]*$/;

/**
 * One unit: a joiner or a variation selector inside an emoji, which is part of its spelling; a run of marks; or any one
 * character.
 */
const UNIT =
  /(?<joint>(?<=\p{Extended_Pictographic}\ufe0f?\p{Emoji_Modifier}?)\u200d(?=\p{Extended_Pictographic})|(?<=\p{Emoji})[\ufe0e\ufe0f])|(?<marks>\p{M}+)|./gsu;

/** Controls, format characters, surrogates, private and unassigned ones, separators of lines, and what has no glyph. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

const SHORT = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function spell(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return SHORT.get(character) ?? `\\x${code.toString(16).padStart(2, '0')}`;
  // The surrogates that stand for bytes which are not UTF-8 (see transfer/name.ts) are shown as those bytes.
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  return `\\u{${code.toString(16)}}`;
}

/** The text in pieces that are shown whole, so that a cut never goes through an escape or leaves a mark alone. */
function unitsOf(text: string): string[] {
  const units: string[] = [];
  for (const match of text.matchAll(UNIT)) {
    const unit = match[0];
    const { joint, marks } = match.groups ?? {};
    if (joint !== undefined) {
      units.push(joint);
    } else if (marks !== undefined) {
      // A mark with no letter before it would sit on what the caller has written there.
      const room = match.index === 0 ? 0 : MOST_MARKS;
      for (const [index, mark] of [...marks].entries())
        units.push(index < room && !HIDDEN.test(mark) ? mark : spell(mark));
    } else {
      units.push(HIDDEN.test(unit) ? spell(unit) : unit);
    }
  }
  return units;
}

/** As many units from the start as fit into `room` code units. */
function fill(units: Iterable<string>, room: number): string[] {
  const taken: string[] = [];
  let left = room;
  for (const unit of units) {
    if (unit.length > left) break;
    taken.push(unit);
    left -= unit.length;
  }
  return taken;
}

/**
 * Makes hostile text harmless to show: C0, C1, DEL, controls of direction, separators, zero width, tags, lone
 * surrogates and heaps of combining marks are written as `\n`, `\x1b`, `\u{202e}`. The result has no control character
 * and no line end, and is well-formed.
 *
 * @param most Bound of the result in UTF-16 code units, 8 at least; a longer text loses its middle to an ellipsis,
 *   because names differ at their start and show what they are (the extension) at their end.
 */
export function escapeText(text: string, most: number = SHOWN_CHARACTERS): string {
  const bound = Math.max(8, most);
  if (text.length <= bound) {
    if (PLAIN.test(text)) return text;
    const whole = unitsOf(text).join('');
    if (whole.length <= bound) return whole;
  }
  // A code unit yields at least one, so nothing further in is ever taken, and neither is the outermost unit of a slice,
  // which may be half of a pair.
  const tailRoom = Math.floor((bound - 1) / 2);
  const headRoom = bound - 1 - tailRoom;
  const head = fill(unitsOf(text.slice(0, headRoom + 1)), headRoom);
  const start = Math.max(text.length - tailRoom - 1, 0);
  const tail = fill(unitsOf(text.slice(start)).toReversed(), tailRoom).reverse();
  return `${head.join('')}…${tail.join('')}`;
}
