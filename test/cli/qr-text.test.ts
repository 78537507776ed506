/** QR codes in terminals: what is drawn is read back, and nothing is drawn where it can't be read. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, suite, test } from 'node:test';
import { PLAIN } from '../../src/cli/paint.ts';
import { qrLines } from '../../src/cli/qr-text.ts';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, run, scratch } from './cli-process.ts';
import { readScreen } from './qr.ts';
import { Terminal } from './tmux.ts';

const TEXT =
  'localstream connect [fd00::1]:7353 --fingerprint SHA256:mqUZl8fTW60rwmYaAYVOA+oJ6bom8H/Pq/W4P+Ni6Eg';
const screen = { isTTY: true, columns: 80, rows: 30 };
const unicode = { LANG: 'C.UTF-8', TERM: 'xterm' };
const paper = { ...PLAIN, paper: (text: string) => text };

suite('a QR code', () => {
  test('is read as it was written, on paper and without colour', async () => {
    for (const text of [TEXT, 'localstream receive 7-nebula-duffel', 'x', 'ä 😀']) {
      const dark = await qrLines(text, screen, paper, unicode);
      assert.equal(readScreen(dark ?? []), text);
      const light = await qrLines(text, screen, PLAIN, unicode);
      assert.equal(readScreen(light ?? [], true), text);
      assert.ok(dark?.every((line) => line.length === dark[0]?.length && line.length <= 80));
    }
  });

  test('is drawn only where it can be seen whole', async () => {
    const [first = ''] = (await qrLines(TEXT, screen, PLAIN, unicode)) ?? [];
    const fits = { ...screen, columns: first.length };
    assert.ok(await qrLines(TEXT, fits, PLAIN, unicode));
    for (const other of [
      { ...fits, columns: first.length - 1 },
      { ...fits, rows: 20 },
      { ...fits, isTTY: false },
      { columns: 80, rows: 30 },
      { isTTY: true },
    ])
      assert.equal(await qrLines(TEXT, other, PLAIN, unicode), undefined, JSON.stringify(other));
    for (const env of [{}, { LANG: 'C' }, { LANG: 'de_DE.UTF-8', LC_ALL: 'C' }, { ...unicode, TERM: 'dumb' }])
      assert.equal(await qrLines(TEXT, screen, PLAIN, env), undefined, JSON.stringify(env));
    assert.ok(await qrLines(TEXT, screen, PLAIN, { LC_ALL: 'de_DE.utf8', LANG: 'C' }));
  });
});

const { folder, server, client } = scratch();

test('identity --qr says the text where it is not drawn', async () => {
  const [event] = eventsNamed(
    eventsOf(await run(['identity', '--qr', '--json'], { home: client })),
    'identity',
  );
  assert.ok(event?.qr);
  assert.ok(event.qr.endsWith(event.fingerprint));
  assert.match(event.qr, /^localstream (?:trust|connect \S+:7353 --fingerprint) SHA256:/);
  assert.equal(event.words.length, 12);
  const plain = await run(['identity', '--qr'], { home: client });
  assert.equal(plain.status, 0);
  assert.ok(plain.stdout.includes(event.words.slice(6).join(' ')), plain.stdout);
  assert.ok(plain.stderr.endsWith(`its text is: ${event.qr}\n`), plain.stderr);
  const [quiet] = eventsNamed(eventsOf(await run(['identity', '--json'], { home: client })), 'identity');
  assert.equal(quiet?.qr, null);
});

describe('in a terminal', needs('tmux'), () => {
  test('a camera reads who this machine is, and the code of send', async () => {
    const [event] = eventsNamed(
      eventsOf(await run(['identity', '--qr', '--json'], { home: client })),
      'identity',
    );
    using shown = new Terminal(['identity', '--qr'], { home: client, cwd: folder });
    await shown.until(/ended 0/);
    assert.equal(readScreen(shown.lines), event?.qr);
    writeFileSync(join(folder, 'a.txt'), 'hello');
    using sending = new Terminal(['send', 'a.txt', '--host', '127.0.0.1'], { home: server, cwd: folder });
    await sending.until(/▀{7}[\s\S]*▀{7}[▀ ]*$/);
    const [command] = /localstream receive \S+/.exec(sending.lines.join('\n')) ?? [];
    assert.ok(command);
    assert.equal(readScreen(sending.lines), command);
  });
});
