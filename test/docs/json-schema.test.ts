/** The published schema is what the types of the events say. That real output fits it is checked wherever a test reads events. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { schemaText } from '../../scripts/json-schema.ts';
import { checkEvent, eventKinds } from '../cli/event-schema.ts';
import { textOf } from './markdown.ts';

test('docs/json-schema/event.json is up to date', () => {
  assert.equal(textOf('docs/json-schema/event.json'), schemaText(), 'run node scripts/json-schema.ts');
});

test('it knows the kinds of events, and refuses what is none', () => {
  for (const kind of ['listening', 'receipt', 'sealed', 'opened', 'error', 'done']) {
    assert.ok(eventKinds().includes(kind), kind);
  }
  checkEvent({ event: 'done', exit: 0, code: 'OK' });
  const wrong: readonly object[] = [
    { event: 'nothing' },
    { event: 'done', exit: 0 },
    { event: 'done', exit: '0', code: 'OK' },
    { event: 'done', exit: 0, code: 'FINE' },
    { event: 'done', exit: 0, code: 'OK', more: true },
    { event: 'closed', host: '::1', port: null },
  ];
  for (const event of wrong)
    assert.throws(() => checkEvent(event), assert.AssertionError, JSON.stringify(event));
});
