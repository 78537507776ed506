#!/usr/bin/env node
// Starts the command line. Plain JavaScript that Node 12 can read, because its first duty is to tell a person with an
// old Node what is wrong; hence no `node:` specifiers, no `?.` and no `await` at the top.
import { spawn } from 'child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeSync } from 'fs';
import nodeModule from 'module';
import { homedir } from 'os';
import { dirname, join } from 'path';
import { fileURLToPath, pathToFileURL } from 'url';

const OLDEST_MAJOR = 24;
const RERUN_MARK = 'LOCALSTREAM_STARTED_BY_NODE';
/** What the program in one file is made of. The last is written by npm whenever it changes what is installed. */
const MAKINGS = ['src', 'config', 'package.json', 'node_modules/.package-lock.json'];
const launcher = fileURLToPath(import.meta.url);
const root = join(dirname(launcher), '..');

if (Number(process.versions.node.split('.')[0]) < OLDEST_MAJOR) runOnPinnedNode();
else if (process.argv.length === 3 && process.argv[2] === '--version') printVersion();
else runCommandLine();

/** The development dependency `node` lies in a checkout after `npm ci`; an installed package does not have it. */
function runOnPinnedNode() {
  const pinned = join(
    root,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  // A pinned Node that is itself too old must not start itself for ever.
  if (!existsSync(pinned) || process.env[RERUN_MARK] !== undefined) return refuse();
  const child = spawn(pinned, [launcher, ...process.argv.slice(2)], {
    env: { ...process.env, [RERUN_MARK]: process.versions.node },
    stdio: 'inherit',
  });
  child.on('error', refuse);

  const forward = (signal) => child.kill(signal);
  // At a terminal, Ctrl-C reaches the whole process group: passing it on would count as a second Ctrl-C.
  const interrupt = process.stdin.isTTY ? () => {} : forward;
  const handlers = [
    ['SIGINT', interrupt],
    ['SIGQUIT', interrupt],
    ['SIGTERM', forward],
    ['SIGHUP', forward],
    ['SIGUSR2', forward],
  ];
  if (process.platform === 'win32') handlers.splice(1, 4, ['SIGBREAK', interrupt], ['SIGHUP', interrupt]);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  child.on('exit', (status, signal) => {
    for (const [name, handler] of handlers) process.removeListener(name, handler);
    if (signal === null) process.exitCode = status;
    else process.kill(process.pid, signal);
  });
}

function refuse() {
  process.exitCode = 2;
  writeSync(
    2,
    `localstream: this is Node.js ${process.versions.node}, which is too old: install Node.js ${OLDEST_MAJOR} or newer\n`,
  );
}

/** Written at once, without `process.stdout`, whose set-up costs a tenth of the start. */
function printVersion() {
  writeSync(1, `${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}\n`);
}

function runCommandLine() {
  delete process.env[RERUN_MARK];
  hideExperimentalWarnings();
  const folder = privateCacheFolder();
  if (folder !== undefined) nodeModule.enableCompileCache(folder);
  // Node ends with 0 when nothing is left to wait for, also where a command waits for what can never come.
  process.exitCode = 1;
  process.once('beforeExit', tellOfUnfinished);
  loadCommandLine()
    .then((cli) => cli.main(process.argv.slice(2)))
    .then((status) => {
      process.removeListener('beforeExit', tellOfUnfinished);
      process.exitCode = status;
      // All is closed then: nobody needs to wait until Node has taken its memory apart, a tenth of a short run.
      process.once('beforeExit', () => process.exit());
    });
}

function tellOfUnfinished() {
  writeSync(
    2,
    'localstream: stopped before its work was done, which is a mistake in localstream: run the command again, and report it\n',
  );
}

/**
 * The program in one file (`scripts/bundle.ts`) starts a quarter faster. A checkout may have none, or one that is older
 * than an edit; a published package has nothing else.
 */
async function loadCommandLine() {
  const bundle = join(root, 'dist', 'program', 'main.js');
  const source = join(root, 'src', 'cli', 'main.ts');
  if (!existsSync(source) || isNewest(bundle)) return nodeModule.createRequire(launcher)(bundle);
  resolveSourcesAtOnce();
  return await import(pathToFileURL(source).href);
}

function isNewest(bundle) {
  const made = statSync(bundle, { throwIfNoEntry: false });
  return made !== undefined && MAKINGS.every((name) => isOlder(join(root, name), made));
}

/** Whether nothing at a path has changed since; what was removed or renamed shows in the time of its folder. */
function isOlder(path, made) {
  const status = statSync(path, { throwIfNoEntry: false });
  // A lock of an editor is a link to nowhere, and may be gone since the folder was read.
  if (status === undefined) return true;
  if (status.mtimeMs >= made.mtimeMs) return false;
  return !status.isDirectory() || readdirSync(path).every((name) => isOlder(`${path}/${name}`, made));
}

/**
 * A relative import of a `.ts` file can mean one file only: Node's own search (package scopes, real paths) for each of
 * 150 files takes an eighth of the start.
 */
function resolveSourcesAtOnce() {
  nodeModule.registerHooks({
    resolve(specifier, context, next) {
      if (!specifier.startsWith('.') || !specifier.endsWith('.ts') || context.parentURL === undefined)
        return next(specifier, context);
      const url = new URL(specifier, context.parentURL).href;
      return { url, format: 'module-typescript', shortCircuit: true };
    },
  });
}

/** What Node calls experimental (`node:sqlite` in 24) is our choice and no news to the person; all else is shown. */
function hideExperimentalWarnings() {
  const shown = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning') return;
    for (const listener of shown) listener.call(process, warning);
  });
}

/**
 * Where compiled code is kept between runs. Whoever can write there decides what the next run executes, so a folder
 * that is not this user's alone is not used, and neither is one inside another user's (as under `sudo`).
 */
function privateCacheFolder() {
  const base = cacheBase();
  const folder = join(base, 'localstream');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return process.platform === 'win32' || [base, folder].every(isOurs) ? folder : undefined;
  } catch (_) {
    return undefined; // A home that cannot be written, or none: the start is slower, nothing else.
  }
}

function isOurs(path) {
  const status = statSync(path);
  return status.uid === process.geteuid() && (status.mode & 0o022) === 0;
}

function cacheBase() {
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches');
  if (process.platform === 'win32') return process.env.LOCALAPPDATA || join(homedir(), 'AppData', 'Local');
  return process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
}
