/** Where the program begins. Nothing is loaded here that `--version` does not need. */

/** Commands that are sure to move files, so that the thread which does that can be started before all else. */
const MOVERS = ['get', 'put', 'receive'];

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
  if (MOVERS.includes(argv[0] ?? '')) {
    const { startAhead } = await import('../transfer/worker-thread.ts');
    startAhead();
  }
  const { runOnce } = await import('./once.ts');
  return await runOnce(argv);
}
