import { isInstalled, type Program } from '../scripts/system-packages.ts';

/**
 * Options for a test or suite that wants more than Node: programs, or the rights of root. Where they are missing, the
 * test says so and is skipped, which `npm test` counts as a failure in CI.
 */
export function needs(...wanted: readonly (Program | 'root')[]): { skip: string | false } {
  const missing = wanted.filter((want) => (want === 'root' ? process.getuid?.() !== 0 : !isInstalled(want)));
  return { skip: missing.length > 0 && `needs ${missing.join(', ')}` };
}
