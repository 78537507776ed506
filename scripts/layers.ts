/**
 * Checks that no import runs against the layers of docs/architecture.md. A file may import files of its own folder
 * and of ranks below its own; type-only imports count, because they bind the layers all the same.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/** Lowest first. Layers of one rank may not import each other. A name ending in `.ts` is a file of `src` itself. */
const RANKS: readonly (readonly string[])[] = [
  ['errors.ts', 'settings.ts', 'config.ts'],
  ['crypto'],
  ['protocol'],
  ['net', 'transfer', 'store', 'auth', 'discovery'],
  ['session'],
  ['server', 'client'],
  ['localstream.ts'],
  ['doctor'],
  ['index.ts'],
  ['cli'],
];

/** Packages that speak to a person at a terminal: the library prints nothing. */
const TERMINAL_PACKAGES = ['chalk', 'cli-progress', 'commander', 'inquirer', '@inquirer/prompts'];

/** What layers that do no input or output may not import. */
const INPUT_OUTPUT =
  /^node:(fs|net|tls|dgram|http|https|http2|child_process|worker_threads|sqlite|readline)(\/|$)/;
const PURE_LAYERS = ['crypto', 'protocol'];

interface Import {
  readonly specifier: string | undefined;
  readonly line: number;
}

/** Every way in which a module names another: import, export from, `import()` and `import('…').Type`. */
function importsOf(path: string, text: string): Import[] {
  const { program, errors } = parseSync(path, text);
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`);
  const found: Import[] = [];
  const add = (source: { type: string; value?: unknown; start: number } | null): void => {
    if (source === null) return;
    found.push({
      specifier: typeof source.value === 'string' ? source.value : undefined,
      line: text.slice(0, source.start).split('\n').length,
    });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
  }).visit(program);
  return found;
}

/** The layer of a path relative to the root: the first folder below `src`, or the file's own name there. */
function layerOf(path: string): string | undefined {
  const [top, layer] = path.split('/');
  return top === 'src' ? layer : undefined;
}

function rankOf(layer: string): number {
  return RANKS.findIndex((layers) => layers.includes(layer));
}

/** Why this import is not allowed, or undefined when it is. */
function objection(from: string, specifier: string | undefined): string | undefined {
  const layer = layerOf(from) ?? '';
  if (specifier === undefined) return 'imports a computed name, which nothing can check';
  if (/^localstream(\/|$)/.test(specifier))
    return `imports "${specifier}", the library's face, from within it`;
  if (!specifier.startsWith('.')) {
    if (layer !== 'cli' && TERMINAL_PACKAGES.includes(specifier))
      return `imports ${specifier}, which only cli may`;
    if (PURE_LAYERS.includes(layer) && INPUT_OUTPUT.test(specifier)) {
      return `imports ${specifier}, and ${layer} does no input or output`;
    }
    return undefined;
  }
  const target = targetOf(from, specifier);
  if (/^(config\/[^/]+\.json|package\.json)$/.test(target)) return undefined;
  const targetLayer = layerOf(target);
  if (targetLayer === undefined) return `imports ${target}, which lies outside src`;
  if (rankOf(targetLayer) < 0) return `imports ${target}, whose layer has no rank`;
  if (targetLayer === layer || rankOf(targetLayer) < rankOf(layer)) return undefined;
  if (rankOf(layer) === 0 && rankOf(targetLayer) === 0) return undefined;
  return `imports ${target}: ${layer} may not import ${targetLayer}`;
}

function targetOf(from: string, specifier: string): string {
  return posix.normalize(posix.join(dirname(from), specifier));
}

/** The circles among the files, each once, as paths with the first repeated at the end. */
function cyclesOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const walk = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path]);
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const next of edges.get(path) ?? []) walk(next);
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) walk(path);
  return cycles;
}

/** Every breach below `root`, one line each. */
export function layerBreaches(root: string): string[] {
  const breaches: string[] = [];
  const edges = new Map<string, string[]>();
  const paths = globSync('src/**/*.ts', { cwd: root }).sort();
  if (paths.length === 0) throw new Error(`${root}: there is no source to check`);
  for (const path of paths) {
    const layer = layerOf(path) ?? '';
    const ranked = rankOf(layer) >= 0;
    if (!ranked) breaches.push(`${path}: the layer "${layer}" has no rank`);
    const targets: string[] = [];
    for (const { specifier, line } of importsOf(path, readFileSync(join(root, path), 'utf8'))) {
      const reason = objection(path, specifier);
      if (ranked && reason !== undefined) breaches.push(`${path}:${line} ${reason}`);
      if (specifier?.startsWith('.')) targets.push(targetOf(path, specifier));
    }
    edges.set(path, targets);
  }
  return [...breaches, ...cyclesOf(edges).map((cycle) => `a circle: ${cycle.join(' → ')}`)];
}

if (import.meta.main) {
  const breaches = layerBreaches(join(import.meta.dirname, '..'));
  for (const breach of breaches) console.error(breach);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}
