import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { settingsPage } from '../scripts/settings-table.ts';
import { settleSettings } from '../src/config.ts';
import {
  checkSetting,
  cleanName,
  describeSettings,
  NAME_BYTES,
  nearest,
  settingKey,
  settingKeys,
  variableOf,
} from '../src/settings.ts';

const root = join(import.meta.dirname, '..');
const PATH = '/home/me/config.json';

function settleFile(values: Record<string, unknown>) {
  const told: string[] = [];
  const { settings, origins } = settleSettings(
    { file: { path: PATH, values } },
    (message) => void told.push(message),
  );
  return { settings, origins, told };
}

test('every setting has a default that is allowed, and every default is a setting', () => {
  const defaults: Record<string, unknown> = JSON.parse(
    readFileSync(join(root, 'config/default.json'), 'utf8'),
  );
  assert.deepEqual(Object.keys(defaults), [...settingKeys]);
  for (const key of settingKeys) assert.equal(checkSetting(key, defaults[key]), defaults[key]);
});

test('the page of the settings is what the program knows', () => {
  const page = readFileSync(join(root, 'docs/settings.md'), 'utf8');
  assert.equal(page, settingsPage(), 'run node scripts/settings-table.ts');
});

test('the environment variables are distinct and written as one expects', () => {
  assert.equal(new Set(describeSettings().map(({ variable }) => variable)).size, settingKeys.length);
  assert.equal(variableOf('strangers.handshakesPerAddress'), 'LOCALSTREAM_STRANGERS_HANDSHAKES_PER_ADDRESS');
});

test('the layers come in order, and each value knows where it is from', () => {
  const { settings, origins } = settleSettings({
    file: { path: PATH, values: { port: 1, chunk: '2K', 'keepAlive.silence': '40s', name: 'nas' } },
    env: { LOCALSTREAM_CHUNK: '3072', LOCALSTREAM_LANES: '2', LOCALSTREAM_PORT: '', OTHER: 'x' },
    flags: { lanes: '3', limit: 5, color: undefined },
  });
  assert.equal(settings.port, 1);
  assert.equal(settings.chunk, 3072);
  assert.equal(settings.lanes, 3);
  assert.equal(settings.limit, 5);
  assert.equal(settings.color, 'auto');
  assert.equal(settings.keepAlive.silence, 40_000);
  assert.equal(settings.keepAlive.interval, 10_000);
  assert.deepEqual(origins.get('port'), { layer: 'file', place: PATH });
  assert.deepEqual(origins.get('chunk'), { layer: 'environment', place: 'LOCALSTREAM_CHUNK' });
  assert.deepEqual(origins.get('lanes'), { layer: 'flag', place: 'lanes' });
  assert.deepEqual(origins.get('color'), { layer: 'default', place: undefined });
  assert.equal(origins.size, settingKeys.length);
});

test('what is left to this machine is filled in', () => {
  const { settings } = settleSettings({});
  assert.equal(settings.name, cleanName(hostname().split('.')[0] ?? '') || 'localstream');
  assert.ok(settings.workers >= 2);
  assert.equal(settleSettings({ flags: { workers: 7, name: 'x' } }).settings.workers, 7);
});

test('a wrong line of the file is named and left out, the others hold', () => {
  const { settings, told } = settleFile({
    prot: 1,
    port: 70_000,
    chunk: 2048,
    'lane.maxrecords': 20,
    __proto__x: 1,
  });
  assert.equal(settings.port, 7353);
  assert.equal(settings.chunk, 2048);
  assert.equal(told.length, 4);
  assert.match(
    told[0] ?? '',
    /^\/home\/me\/config\.json: there is no setting "prot" \(did you mean port\?\): left out$/,
  );
  assert.equal(
    told[1],
    "/home/me/config.json: port can't be 70000: left out; it must be a whole number, from 1 to 65535",
  );
  assert.match(told[2] ?? '', /did you mean lane\.maxRecords\?/);
});

test('hostile keys of a file do no harm', () => {
  const values = JSON.parse('{"__proto__":{"port":1},"constructor":2,"toString":3,"":4,"port":{"port":5}}');
  values['x'.repeat(1e6)] = 1;
  const { settings, told } = settleFile(values);
  assert.equal(settings.port, 7353);
  assert.equal(told.length, 6);
  for (const message of told) assert.ok(message.length < 200, message);
});

test('a wrong value of a variable or a flag is an error, an unknown variable a warning', () => {
  const env = (values: Record<string, string>) => () => settleSettings({ env: values });
  assert.throws(env({ LOCALSTREAM_PORT: '0' }), {
    code: 'BAD_SETTING',
    message: /LOCALSTREAM_PORT/,
    hint: /from 1 to 65535/,
  });
  assert.throws(() => settleSettings({ flags: { port: 'abc' } }), { code: 'BAD_SETTING' });
  assert.throws(() => settleSettings({ flags: { prot: 1 } }), {
    code: 'BAD_SETTING',
    message: /did you mean port/,
  });
  const told: string[] = [];
  const others = { LOCALSTREAM_HOME: '/x', LOCALSTREAM_CODE: '7-a-b', LOCALSTREAM_PROT: '1' };
  settleSettings({ env: others }, (message) => void told.push(message));
  assert.deepEqual(told, [
    'there is no setting for the variable LOCALSTREAM_PROT (did you mean LOCALSTREAM_PORT?)',
  ]);
});

test('the silence is longer than the interval', () => {
  const { settings, told } = settleFile({ 'keepAlive.interval': 50_000 });
  assert.deepEqual(settings.keepAlive, { interval: 10_000, silence: 30_000 });
  assert.equal(told.length, 1);
  assert.throws(() => settleSettings({ flags: { 'keepAlive.silence': 5000 } }), { code: 'BAD_SETTING' });
});

test('texts are read with their units', () => {
  const read = {
    chunk: {
      '64K': 65_536,
      '64k': 65_536,
      '1MiB': 1_048_576,
      '1 MB': 1_000_000,
      '64kB': 64_000,
      '4.1MB': 4_100_000,
      '4096B': 4096,
      '1.5K': 1536,
    },
    limit: {
      '20MB': 20_000_000,
      '20MB/s': 20_000_000,
      '20m': 20_000_000,
      '2.5 MiB/s': 2_621_440,
      '500k/s': 500_000,
      '4096': 4096,
      none: null,
    },
    retryFor: { '5s': 5000, '2m': 120_000, '1h': 3_600_000, '250': 250, '250ms': 250, '0': 0 },
    lanes: { auto: null, '4': 4 },
    name: { auto: null, '12': '12', 'My device': 'My device' },
  } as const;
  for (const [key, texts] of Object.entries(read)) {
    for (const [text, value] of Object.entries(texts))
      assert.equal(checkSetting(settingKey(key), text), value, text);
  }
});

test('values that are not allowed are refused, 0 is never "no limit"', () => {
  const refused = {
    port: [0, 65_536, 1.5, Number.NaN, '1e3', '0x10', '-1', '+1', '', ' ', '80s', '1K', true, [80], {}, null],
    chunk: [1023, 4_194_305, '4.1M', '1Z', '1.0001K', '64K/s'],
    limit: [0, '0', -1, 2 ** 53, '99999T', '20MB/h', '/s'],
    retryFor: [2 ** 31, '25d'],
    existing: ['', 'Fail', 'delete', null],
    name: ['', ' nas', 'a\nb', 'a\u001b[2J', '\u202eabc', 'ü'.repeat(32), 5],
  };
  for (const [key, values] of Object.entries(refused)) {
    for (const value of values) {
      assert.throws(
        () => checkSetting(settingKey(key), value),
        { code: 'BAD_SETTING' },
        `${key} ${String(value)}`,
      );
    }
  }
});

test('a name is cut between characters and has nothing that a screen acts on', () => {
  assert.equal(cleanName(' my\t\u0000 na\u001bs\u202e '), 'my nas');
  assert.equal(cleanName('👩‍👩‍👧'.repeat(20)).includes('\ufffd'), false);
  assert.equal(cleanName('e\u0301'), 'é');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const name = cleanName(text);
      assert.ok(Buffer.byteLength(name) <= NAME_BYTES);
      assert.doesNotMatch(name, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.equal(name.isWellFormed(), true);
      assert.equal(name, name.trim());
      // What was cleaned passes as it is: the host's name is always an allowed device name.
      assert.equal(cleanName(name), name);
    }),
  );
});

test('the nearest word is a slip away, or there is none', () => {
  assert.equal(nearest('recieve_file', ['send_file', 'receive_file']), 'receive_file');
  assert.equal(nearest('PORT', settingKeys), 'port');
  assert.equal(nearest('xyz', ['port']), undefined);
  assert.equal(nearest('x'.repeat(100), ['x'.repeat(99)]), undefined);
});
