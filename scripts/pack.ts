/**
 * Prepares the package for `npm pack` and `npm publish`, and undoes it (`prepare`, `restore`; npm calls both).
 * Node strips no types below `node_modules`, so the package holds compiled JavaScript, while a checkout runs its sources:
 * `exports` has to name other files in the one than in the other.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';

const Manifest = v.looseObject({ exports: v.looseObject({ '.': v.unknown() }) });

const root = join(import.meta.dirname, '..');
const manifestPath = join(root, 'package.json');
const keptPath = join(root, 'package.json.checkout');

function prepare(): void {
  restore();
  compileLibrary();
  run(join(root, 'scripts', 'bundle.ts'));
  const text = readFileSync(manifestPath, 'utf8');
  const {
    scripts: _scripts,
    devDependencies: _tools,
    allowScripts: _allowed,
    ...manifest
  } = v.parse(Manifest, JSON.parse(text));
  manifest.exports['.'] = { types: './dist/index.d.ts', default: './dist/index.js' };
  writeFileSync(keptPath, text);
  writeFileSync(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
}

/** The library and its worker; the program is `bundle.ts`'s. Leaves `dist` as deep as `src`, so that paths from a file to `config` are the same in both. */
function compileLibrary(): void {
  const built = join(root, '.build');
  const dist = join(root, 'dist');
  for (const folder of [built, dist]) rmSync(folder, { recursive: true, force: true });
  run(join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json');
  renameSync(join(built, 'src'), dist);
  rmSync(built, { recursive: true });
}

/** What a tool prints goes to standard error: the other one is npm's answer. */
function run(script: string, ...words: string[]): void {
  const { status } = spawnSync(process.execPath, [script, ...words], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`${script} failed`);
}

function restore(): void {
  if (existsSync(keptPath)) renameSync(keptPath, manifestPath);
}

switch (process.argv[2]) {
  case 'prepare':
    prepare();
    break;
  case 'restore':
    restore();
    break;
  default:
    console.error('usage: node scripts/pack.ts prepare|restore');
    process.exitCode = 2;
}
