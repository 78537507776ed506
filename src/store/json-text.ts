/** What a terminal acts on or what turns text around, though JSON lets it stand as it is. */
const UNSAFE = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');
}

/**
 * JSON that can be shown in a terminal: names from peers stay exact when it is parsed, but no byte of the text is a
 * control, C1 and direction characters included.
 */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, escaped);
}

/** The same for text that goes into JSON by another writer: there it reads `\u009b`, with the backslash doubled. */
export function withoutControls(text: string): string {
  return text.replace(UNSAFE, escaped);
}
