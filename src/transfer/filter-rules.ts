/** What is left out of a transfer, as it is asked for; `path-filter.ts` goes by it. */

/** Rules as a person gives them. */
export interface FilterRules {
  /** Lines of a `.gitignore` file for the top of the transfer; later ones win, `!` takes back. */
  readonly patterns: readonly string[];
  /** `.gitignore` files in the tree count too. */
  readonly gitignore: boolean;
  /** Only these paths, as the outcomes of a transfer name them, and the folders that they lie in. */
  readonly only: readonly string[] | undefined;
}

/** The rules that these amount to; undefined when nothing is left out. */
export function filterRules(options: {
  readonly exclude?: readonly string[];
  readonly gitignore?: boolean;
  readonly only?: readonly string[];
}): FilterRules | undefined {
  const { exclude: patterns = [], gitignore = false, only } = options;
  return patterns.length > 0 || gitignore || only ? { patterns, gitignore, only } : undefined;
}
