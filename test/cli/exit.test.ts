import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endingOf, settle, toLocalstreamError } from '../../src/cli/exit.ts';
import { allCodes, errorOf } from '../../src/errors.ts';

const RUNNING = new AbortController().signal;

test('every code ends with its own status, and only with documented ones', () => {
  for (const { code, exit } of allCodes()) {
    assert.ok([0, 1, 2, 3, 4, 5, 6, 130, 143].includes(exit), code);
    assert.deepEqual(endingOf(errorOf(code), RUNNING).status, exit, code);
  }
});

test('success is 0 and has no error', async () => {
  assert.deepEqual(await settle(RUNNING, async () => {}), { status: 0, error: undefined });
});

test('an abort counts as what it was asked for, whatever the lower layers make of it', async () => {
  const failures = [
    errorOf('CANCELLED', 'cancelled by the sender'),
    new DOMException('This operation was aborted', 'AbortError'),
    Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' }),
  ];
  for (const failure of failures) {
    const fail = async () => {
      throw failure;
    };
    const interrupted = await settle(AbortSignal.abort(errorOf('CANCELLED', 'cancelled')), fail);
    assert.deepEqual([interrupted.status, interrupted.error?.code], [130, 'CANCELLED']);
    const terminated = await settle(AbortSignal.abort(errorOf('TERMINATED', 'ended by SIGTERM')), fail);
    assert.deepEqual([terminated.status, terminated.error?.code], [143, 'TERMINATED']);
  }
});

test('what failed before the abort keeps its own code', () => {
  const ending = endingOf(
    errorOf('INTEGRITY', 'the digest is wrong'),
    AbortSignal.abort(errorOf('CANCELLED')),
  );
  assert.equal(ending.status, 6);
});

test('errors of the system and defects become ours, with the cause kept', () => {
  const system = Object.assign(new Error("EACCES: permission denied, open '/x'"), {
    code: 'EACCES',
    syscall: 'open',
  });
  assert.deepEqual([toLocalstreamError(system).code, toLocalstreamError(system).cause], ['IO', system]);
  const defect = new TypeError('x is not a function');
  assert.deepEqual([toLocalstreamError(defect).code, toLocalstreamError(defect).cause], ['INTERNAL', defect]);
  assert.equal(toLocalstreamError('text').code, 'INTERNAL');
});

test('when closing fails as well, the first failure is told', () => {
  const first = errorOf('NOT_FOUND', 'no such file');
  const both = new SuppressedError(new Error('close failed'), first);
  assert.equal(toLocalstreamError(both), first);
});
