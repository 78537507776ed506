import assert from 'node:assert/strict';
import { LocalstreamError } from '../../src/errors.ts';

/** Asserts that something is refused as wrong usage, in one line that says what would be right. */
export function refused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof LocalstreamError, String(error));
    assert.equal(error.code, 'USAGE');
    assert.equal(error.exit, 2);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /[\n\x1b]/);
    assert.ok((error.hint ?? '') !== '', `no hint: ${error.message}`);
    return true;
  });
}
