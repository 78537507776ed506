/**
 * The programs beside Node that tests use. On a Debian where this runs as root, what is missing is installed;
 * elsewhere it is named, and the tests that want it say that they were skipped.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Each program with the Debian package that has it. */
const PACKAGE_BY_PROGRAM = {
  'avahi-browse': 'avahi-utils',
  'avahi-daemon': 'avahi-daemon',
  'avahi-publish': 'avahi-utils',
  b3sum: 'b3sum',
  'dbus-daemon': 'dbus-daemon',
  fish: 'fish',
  groff: 'groff-base',
  ip: 'iproute2',
  mandoc: 'mandoc',
  mariadbd: 'mariadb-server',
  nft: 'nftables',
  openssl: 'openssl',
  python3: 'python3-minimal',
  strace: 'strace',
  tc: 'iproute2',
  tmux: 'tmux',
  zsh: 'zsh',
} as const;

/** A program that tests may ask for. */
export type Program = keyof typeof PACKAGE_BY_PROGRAM;

/** Whether a program of this name can be started here. */
export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => isExecutable(join(folder, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where Debian asks whether an installation may start services. */
const POLICY = '/usr/sbin/policy-rc.d';

/**
 * Installs packages quietly, and starts none of their services: nobody asked for open ports. Returns what went wrong,
 * or undefined. Needs root and apt-get.
 */
export function installPackages(packages: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return 'only root can, on Debian';
  const hasPolicy = existsSync(POLICY);
  if (!hasPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return aptGet('update', '-qq') ?? aptGet('install', '-y', '-qq', '--no-install-recommends', ...packages);
  } finally {
    if (!hasPolicy) rmSync(POLICY);
  }
}

function aptGet(...words: readonly string[]): string | undefined {
  const { status, stderr } = spawnSync('apt-get', words, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `apt-get ${words[0]}: ${stderr.trim().split('\n').at(-1) ?? status}`;
}

/** Installs the programs that tests want and that are missing; says in one line what could not be had. */
export function provideTestPrograms(say: (line: string) => void): void {
  const missing = (Object.keys(PACKAGE_BY_PROGRAM) as Program[]).filter((program) => !isInstalled(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGE_BY_PROGRAM[program]))];
  const failure = installPackages(packages);
  if (failure === undefined) say(`installed for the tests: ${packages.join(', ')}`);
  else say(`not installed: ${packages.join(', ')} (${failure}); the tests that need them are skipped`);
}
