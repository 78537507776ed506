import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { missingPlatformPackages, parseLockfile } from '../../scripts/lockfile.ts';

describe('the lock file', () => {
  const text = readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8');

  test('has a row for the native packages of every platform', () => {
    const missing = missingPlatformPackages(parseLockfile(text)).map(({ path }) => path);
    assert.deepEqual(missing, [], 'run: node scripts/lockfile.ts');
  });

  test('says what to install and not from where', () => {
    assert.doesNotMatch(text, /"resolved"/);
  });

  test('is completed with what a package of another platform is for', () => {
    const lockfile = parseLockfile(
      JSON.stringify({
        packages: {
          'node_modules/fast': {
            version: '1.2.3',
            dev: true,
            optionalDependencies: {
              '@fast/linux-x64-gnu': '1.2.3',
              '@fast/linux-arm64-musl': '1.2.3',
              '@fast/fast-win32-x64-msvc': '1.2.3',
            },
          },
          'node_modules/fast/node_modules/@fast/linux-x64-gnu': { version: '1.2.3' },
        },
      }),
    );
    assert.deepEqual(missingPlatformPackages(lockfile), [
      {
        path: 'node_modules/@fast/linux-arm64-musl',
        row: { version: '1.2.3', cpu: ['arm64'], libc: ['musl'], os: ['linux'], dev: true, optional: true },
      },
      {
        path: 'node_modules/@fast/fast-win32-x64-msvc',
        row: { version: '1.2.3', cpu: ['x64'], os: ['win32'], dev: true, optional: true },
      },
    ]);
  });
});
