/**
 * Completes `package-lock.json` with the native packages of other platforms. npm leaves out the optional ones that it
 * could not reach or did not need while it wrote the file, and `npm ci` then refuses the file, here or on the other
 * platform. Run it after every change of the dependencies; `--check` only says what is missing.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';

const Lockfile = v.looseObject({
  packages: v.record(
    v.string(),
    v.looseObject({
      version: v.optional(v.string()),
      dev: v.optional(v.boolean()),
      optionalDependencies: v.optional(v.record(v.string(), v.string())),
    }),
  ),
});
type Lockfile = v.InferOutput<typeof Lockfile>;

/** A row to add to `packages`, by its path. */
export interface MissingPackage {
  readonly path: string;
  readonly row: Record<string, unknown>;
}

/** Reads a lock file's text. Throws on what npm would not have written. */
export function parseLockfile(text: string): Lockfile {
  return v.parse(Lockfile, JSON.parse(text));
}

/** The optional packages of other platforms that a lock file names as dependencies but has no row for. */
export function missingPlatformPackages(lockfile: Lockfile): MissingPackage[] {
  const missing = new Map<string, MissingPackage>();
  for (const [owner, row] of Object.entries(lockfile.packages)) {
    for (const [name, version] of Object.entries(row.optionalDependencies ?? {})) {
      if (resolves(lockfile, owner, name)) continue;
      const path = `node_modules/${name}`;
      missing.set(path, {
        path,
        row: { version, ...platformOf(name), ...(row.dev ? { dev: true } : {}), optional: true },
      });
    }
  }
  return [...missing.values()];
}

/** npm looks for a dependency beside its owner's own folder, then in each folder further out. */
function resolves(lockfile: Lockfile, owner: string, name: string): boolean {
  for (let folder = owner; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    const prefix = folder === '' ? '' : `${folder}/`;
    if (`${prefix}node_modules/${name}` in lockfile.packages) return true;
    if (folder === '') return false;
  }
}

/** Native packages carry their platform in the name: `…-linux-arm64-musl`. */
function platformOf(name: string): Record<string, string[]> {
  const match =
    /-(?<system>aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-(?<cpu>[a-z0-9]+)(?:-(?<abi>[a-z]+))?$/.exec(
      name.replace('/', '-'),
    );
  const { system, cpu, abi } = match?.groups ?? {};
  if (system === undefined || cpu === undefined)
    throw new Error(`${name}: the name does not say its platform`);
  const libc = abi === 'gnu' ? 'glibc' : abi === 'musl' ? 'musl' : undefined;
  return { cpu: [cpu], ...(libc === undefined ? {} : { libc: [libc] }), os: [system] };
}

if (import.meta.main) {
  const path = join(import.meta.dirname, '..', 'package-lock.json');
  const lockfile = parseLockfile(readFileSync(path, 'utf8'));
  const missing = missingPlatformPackages(lockfile);
  for (const { path: name } of missing) console.log(`missing: ${name}`);
  if (process.argv.includes('--check')) {
    process.exitCode = missing.length === 0 ? 0 : 1;
  } else if (missing.length > 0) {
    const rows = [
      ...Object.entries(lockfile.packages),
      ...missing.map(({ path: key, row }) => [key, row] as const),
    ];
    rows.sort(([a], [b]) => a.localeCompare(b, 'en'));
    writeFileSync(path, `${JSON.stringify({ ...lockfile, packages: Object.fromEntries(rows) }, null, 2)}\n`);
  }
}
