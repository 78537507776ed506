import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseChunk,
  parseDuration,
  parseJob,
  parseMax,
  parseQuestion,
  parseRate,
  path,
} from '../../src/cli/values.ts';
import { checkSetting } from '../../src/settings.ts';
import { refused } from './refused.ts';

test('a chunk is 1024 to 4194304 bytes', () => {
  const table: [string, number][] = [
    ['1024', 1024],
    ['4194304', 4_194_304],
    ['1k', 1024],
    ['64K', 65_536],
    ['1M', 1_048_576],
    ['4m', 4_194_304],
  ];
  for (const [text, bytes] of table) assert.equal(parseChunk(text), bytes, text);
  for (const text of [
    '',
    '0',
    '1023',
    '4194305',
    '5M',
    '-1',
    '1.5M',
    'abc',
    '64KB',
    '1e6',
    '99999999999999999999',
  ]) {
    refused(() => parseChunk(text), /is not a chunk size/);
  }
});

test('a time is one that a timer takes', () => {
  assert.equal(parseDuration('0'), 0);
  assert.equal(parseDuration('90'), 90_000);
  assert.equal(parseDuration('596h'), 2_145_600_000);
  for (const text of ['', '-1', '1.5s', '5 m', 'ever', '597h', '999999999h'])
    refused(() => parseDuration(text), /is not a time/);
});

test('counts are whole numbers within their bounds', () => {
  assert.equal(parseMax('1'), 1);
  assert.equal(parseMax('10000'), 10_000);
  for (const text of ['', '0', '-1', '10001', '1.5', 'ten', '1 '])
    refused(() => parseMax(text), /number of peers/);
  assert.deepEqual(parseQuestion('3'), { number: 3, isServers: false });
  assert.deepEqual(parseJob('s12'), { number: 12, isServers: true });
  for (const text of ['', '0', '-1', 'x', '1.0', 's', 's0', '3s'])
    refused(() => parseQuestion(text), /number of a question/);
});

test('an empty path is refused, since it is an unset variable', () => {
  refused(() => path(''), /empty/);
  refused(() => path('a\0b'), /null character/);
  for (const text of [' ', 'a b', '-', '\n', '😀', '\udcff']) assert.equal(path(text), text);
});

test('a rate means the same as an option and as a setting', () => {
  for (const typed of ['20MB/s', '20MB', '20M', '500k', '2.5 MiB/s', '1gb/s', '4096', '1.5k/s'])
    assert.equal(parseRate(typed), checkSetting('limit', typed), typed);
});
