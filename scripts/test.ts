/**
 * Runs the suite and ends with the line `N passed, N failed`. Arguments choose the files whose path contains one of them.
 * With `CI=true` a skipped test counts as failed: there, everything has to run.
 */
import { globSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { provideTestPrograms } from './system-packages.ts';

/** A guard against a hang, far above what any test takes. */
const LONGEST_TEST_MILLISECONDS = 600_000;

process.chdir(join(import.meta.dirname, '..'));
const inCi = process.env['CI'] === 'true';
const wanted = process.argv.slice(2);
const files = globSync('test/**/*.test.ts')
  .sort()
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part.replace(/^\.\//, ''))));

provideTestPrograms((line) => console.log(line));
// Settings of the person who runs the tests would change what they see.
for (const name of Object.keys(process.env)) if (name.startsWith('LOCALSTREAM_')) delete process.env[name];
// Compiled code of packages that tests make and throw away has no place in that person's cache.
process.env['XDG_CACHE_HOME'] = resolve('node_modules', '.cache');
mkdirSync(process.env['XDG_CACHE_HOME'], { recursive: true, mode: 0o700 });

let passed = 0;
let failed = 0;
/** Tests that have begun and not ended: what is left of them at the end was cut off by `process.exit(0)`. */
let unfinished = 0;
const skipped: string[] = [];

if (files.length === 0) {
  finish();
} else {
  const stream = run({
    files,
    concurrency: Math.min(4, Math.max(2, availableParallelism())),
    timeout: LONGEST_TEST_MILLISECONDS,
  });
  stream.on('test:enqueue', () => {
    unfinished += 1;
  });
  stream.on('test:complete', () => {
    unfinished -= 1;
  });
  stream.on('test:pass', ({ name, file, details, skip, todo }) => {
    if (details.type === 'suite') return;
    const reason = skip ?? todo;
    if (reason !== undefined && reason !== false) {
      skipped.push(`${file ?? ''}: ${name}${typeof reason === 'string' ? ` (${reason})` : ''}`);
    } else if (file === resolve(name)) {
      // A file passes as a test of its own where nothing in it has run.
      failed += 1;
      console.log(`${name}: no test ran`);
    } else {
      passed += 1;
    }
  });
  stream.on('test:fail', ({ details }) => {
    if (details.type !== 'suite') failed += 1;
  });
  const report = stream.compose(spec());
  report.on('end', finish);
  report.pipe(process.stdout, { end: false });
}

function finish(): void {
  if (unfinished > 0) {
    console.log(`cut off before their end: ${unfinished}`);
    failed += unfinished;
  }
  if (skipped.length > 0) {
    console.log(inCi ? '\nskipped, which counts as failed here:' : '\nskipped:');
    for (const line of skipped) console.log(`  ${line}`);
    if (inCi) failed += skipped.length;
  }
  if (passed + failed === 0) console.log('no test ran');
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
