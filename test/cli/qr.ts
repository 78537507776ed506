/** QR codes as they were drawn on a screen, read back. */
import readQr from 'jsqr';

/** Pixels of a module: readers want some. */
const PIXELS = 4;
const ROW = /[█▀▄]/;

/** The text of the code among the lines of a screen; undefined where there is none. `light`: what is drawn is light. */
export function readScreen(lines: readonly string[], light = false): string | undefined {
  const rows = lines.filter((line) => ROW.test(line));
  // Lines lose their spaces at the end on the way from a terminal, and a code its empty edge.
  const width = Math.max(0, ...rows.map((line) => line.length)) + 4;
  const modules = rows.flatMap((line) => {
    const padded = [...line.padEnd(width)];
    return [
      padded.map((mark) => mark === '█' || mark === '▀'),
      padded.map((mark) => mark === '█' || mark === '▄'),
    ];
  });
  const edge = () => Array.from({ length: width }, () => light);
  const image = [edge(), edge(), edge(), edge(), ...modules, edge(), edge(), edge(), edge()];
  const side = width * PIXELS;
  const pixels = new Uint8ClampedArray(side * image.length * PIXELS * 4);
  for (let y = 0; y < image.length * PIXELS; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const isDrawn = image[Math.floor(y / PIXELS)]?.[Math.floor(x / PIXELS)] ?? false;
      pixels.fill(isDrawn === light ? 255 : 0, (y * side + x) * 4, (y * side + x) * 4 + 3);
      pixels[(y * side + x) * 4 + 3] = 255;
    }
  }
  return readQr.default(pixels, side, image.length * PIXELS)?.data;
}
