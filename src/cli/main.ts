/** Where the program begins. Nothing is loaded here that `--version` does not need. */
import { quickCommand } from './quick-commands.ts';

/**
 * Runs the program.
 * @param argv What was typed after the program's name.
 * @returns the exit status. Never rejects.
 */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    const { version } = await import('./version.ts');
    process.stdout.write(`${version}\n`);
    return 0;
  }
  if (quickCommand(argv)?.movesFiles) {
    const { startAhead } = await import('../transfer/worker-thread.ts');
    startAhead();
  }
  const { runOnce } = await import('./once.ts');
  return await runOnce(argv);
}
