/** The completion scripts, each made when it is wanted. */
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';

/** The script for one shell. */
export function completionScript(shell: 'bash' | 'zsh' | 'fish'): string {
  return { bash: bashScript, fish: fishScript, zsh: zshScript }[shell]();
}
