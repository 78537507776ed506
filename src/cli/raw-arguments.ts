/**
 * Arguments that are not UTF-8. Node.js replaces each such byte by U+FFFD, after which a file of that name can't be
 * found; Linux still has the bytes as they were given.
 */
import { readFile } from 'node:fs/promises';
import { decodeName } from '../transfer/name.ts';

const REPLACEMENT = '\ufffd';

/**
 * The arguments with their bytes, in the form of `transfer/name.ts`, where they can be had; otherwise as they are.
 * A launcher that started this process with damaged arguments still has the whole ones: it is looked at second.
 */
export async function recoverArguments(
  argv: readonly string[],
  places: readonly string[] = ['/proc/self/cmdline', `/proc/${process.ppid}/cmdline`],
): Promise<readonly string[]> {
  if (!argv.some((argument) => argument.includes(REPLACEMENT))) return argv;
  for (const place of places) {
    const recovered = recoverFrom(await readFile(place).catch(() => Buffer.alloc(0)), argv);
    if (recovered?.some((argument) => !argument.isWellFormed())) return recovered;
  }
  return argv;
}

/** The last arguments of a `cmdline`, if they are those of `argv`; undefined for any other process. */
export function recoverFrom(cmdline: Buffer, argv: readonly string[]): readonly string[] | undefined {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = cmdline.indexOf(0); end >= 0; end = cmdline.indexOf(0, start)) {
    parts.push(cmdline.subarray(start, end));
    start = end + 1;
  }
  const tail = parts.slice(-argv.length);
  if (tail.length !== argv.length) return undefined;
  if (tail.some((part, index) => part.toString('utf8') !== argv[index])) return undefined;
  return tail.map((part) => decodeName(part));
}
