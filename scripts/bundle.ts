/**
 * Joins the command line and its worker into one file each, `dist/program/main.js` and `worker.js`: to find, check and
 * link two hundred modules takes a quarter of the time that a small transfer takes. `npm ci` runs it in a checkout
 * (`prepare.js`), and packing does. The library is not joined: who imports it has modules of their own that must meet the
 * same classes.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile, Plugin } from 'esbuild';
import * as v from 'valibot';

const Manifest = v.object({ name: v.string(), version: v.string(), license: v.string() });

const root = join(import.meta.dirname, '..');
const program = join(root, 'dist', 'program');

/** Imported only when it is needed, which is in all runs that move anything. */
const NEEDED_BY_MOST = 'proper-lockfile';

/** What else is imported only when it is needed stays a file of its own, which only then is read. */
const leaveLatePackages: Plugin = {
  name: 'leave late packages',
  setup({ onResolve }) {
    onResolve({ filter: /^[^.]/ }, ({ kind, path }) =>
      kind === 'dynamic-import' && path !== NEEDED_BY_MOST ? { external: true } : undefined,
    );
  },
};

/** Writes both files, and the licences of what they took in. */
async function bundle(): Promise<void> {
  const { build } = await import('esbuild');
  // Aside at first: a program that starts meanwhile must not read half of it.
  const outdir = `${program}.${process.pid}`;
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts', 'src/transfer/worker.ts'],
    entryNames: '[name]',
    outdir,
    bundle: true,
    platform: 'node',
    // In which a module of Node is loaded with the module that needs it, and not with the first one of all.
    format: 'cjs',
    target: 'node24',
    define: { 'import.meta.url': '__moduleUrl' },
    banner: { js: "const __moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    plugins: [leaveLatePackages],
    metafile: true,
    logLevel: 'warning',
  });
  writeFileSync(join(outdir, 'package.json'), '{ "type": "commonjs" }\n');
  writeFileSync(join(outdir, 'LICENSES.txt'), packagesIn(metafile).map(noticeOf).join('\n'));
  rmSync(program, { recursive: true, force: true });
  renameSync(outdir, program);
}

/** The folders of the packages whose code went in. */
function packagesIn(metafile: Metafile): string[] {
  const folders = Object.keys(metafile.inputs).flatMap(
    (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  );
  return [...new Set(folders)].sort();
}

function noticeOf(folder: string): string {
  const place = join(root, folder);
  const { name, version, license } = v.parse(
    Manifest,
    JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')),
  );
  const file = readdirSync(place).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? `${license}\n` : readFileSync(join(place, file), 'utf8');
  return `${name} ${version}\n\n${text}`;
}

await bundle();
