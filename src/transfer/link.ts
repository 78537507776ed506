/** Which symbolic links may cross: those that stay within the tree they belong to. */
import { errorOf } from '../errors.ts';

/**
 * Throws LEAVES_TREE unless a link in a folder `depth` levels below its root's parent stays within that root.
 *
 * Absolute targets leave it. `..` is taken only at the front: behind a name it could climb out through another link
 * (`a/b/here/../../..` where `here` is a link to `.`), which no count of components would notice.
 */
export function checkLinkTarget(target: string, depth: number): void {
  const leaves = () => errorOf('LEAVES_TREE', 'the link points out of the folder that is sent');
  if (target === '' || target.includes('\0') || target.startsWith('/') || target.startsWith('\\'))
    throw leaves();
  if (/^[A-Za-z]:/.test(target) && process.platform === 'win32') throw leaves();
  let climbed = 0;
  let descended = false;
  for (const part of target.split(process.platform === 'win32' ? /[/\\]/ : '/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') descended = true;
    else if (descended) throw leaves();
    else climbed += 1;
  }
  // At depth 1 it lies in the root folder itself and may not climb at all; at 0 there is no folder to stay in.
  if (climbed >= depth) throw leaves();
}
