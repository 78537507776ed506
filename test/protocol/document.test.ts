/** docs/protocol.md says what the code does: its tables against the tables of the program. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import defaults from '../../config/default.json' with { type: 'json' };
import flags from '../../config/server_message_flags.json' with { type: 'json' };
import { EXPORTER_BYTES, LANE_EXPORTER_LABEL, SESSION_EXPORTER_LABEL } from '../../src/crypto/exchange.ts';
import { MAX_MESSAGE, MAX_STRANGER_MESSAGE } from '../../src/protocol/control-codec.ts';
import {
  FRAME,
  MAX_BATCH_ENTRIES,
  MAX_META_PAYLOAD,
  MAX_OPEN_BATCHES,
  maxPayload,
  PIECE_BYTES,
} from '../../src/protocol/frame.ts';
import { MAX_CHUNK, MAX_LANES, MAX_PAGE, MAX_PATHS, MIN_CHUNK } from '../../src/protocol/limits.ts';
import { MAX_BASIS_PIECES, MAX_LINK_BYTES } from '../../src/protocol/manifest.ts';
import { SESSION_TYPES } from '../../src/protocol/messages.ts';

const document = readFileSync(fileURLToPath(import.meta.resolve('../../docs/protocol.md')), 'utf8');

/** The lines of one chapter. */
function chapter(title: string): string[] {
  const [, text = ''] = document.split(`\n## ${title}\n`);
  assert.notEqual(text, '', title);
  return (text.split('\n## ')[0] ?? '').split('\n');
}

/** The cells of the rows of all tables in some lines. */
function cells(lines: readonly string[]): string[][] {
  return lines
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

suite('the document', () => {
  test('lists every flag with its number and meaning', () => {
    const rows = cells(chapter('Errors')).filter(([number]) => /^\d+$/.test(number ?? ''));
    const expected = Object.values(flags).map(({ name, number, meaning }) => [`${number}`, name, meaning]);
    assert.deepEqual(rows.sort(), expected.sort());
  });

  test('lists every type of frame', () => {
    const rows = cells(chapter('Frames')).filter(([number]) => /^\d+$/.test(number ?? ''));
    const expected = Object.entries(FRAME).map(([name, number]) => [`${number}`, name.toUpperCase()]);
    assert.deepEqual(
      rows.map(([number, name]) => [number, name]),
      expected,
    );
  });

  test('lists every message of a session', () => {
    const lines = [
      ...chapter('Handshake'),
      ...chapter('Letting in'),
      ...chapter('Pairing'),
      ...chapter('An open session'),
      ...chapter('Transfers on the control channel'),
      ...chapter('Control messages'),
    ];
    const named = new Set(cells(lines).map(([type = '']) => type.replaceAll('`', '')));
    for (const type of SESSION_TYPES) assert.ok(named.has(type), type);
  });

  test('has the numbers of the program', () => {
    const limits = chapter('Limits and times').join('\n');
    for (const number of [
      `${MAX_STRANGER_MESSAGE} / ${MAX_MESSAGE} bytes`,
      `paths in a \`get\`, roots | ${MAX_PATHS} |`,
      `${MAX_PAGE}; 2; 8 |`,
      `${MAX_LANES}; 16 |`,
      `${MIN_CHUNK} to ${MAX_CHUNK} bytes`,
      `max(chunk + 8, ${MAX_META_PAYLOAD}); ${MAX_META_PAYLOAD} bytes`,
      `${MAX_BATCH_ENTRIES}; ${MAX_OPEN_BATCHES} |`,
      `${MAX_LINK_BYTES}; ${MAX_LINK_BYTES}, 1024, 255 bytes`,
      `${PIECE_BYTES} bytes; ${MAX_BASIS_PIECES} in one BASIS`,
      `${defaults['handshakeTimeout'] / 1000} s each`,
      `${defaults['decisionTimeout'] / 1000} s for a person`,
      `\`ping\` after ${defaults['keepAlive.interval'] / 1000} s, lost after ${defaults['keepAlive.silence'] / 1000} s`,
      `more than ${defaults['strangers.handshakes']} of them, or ${defaults['strangers.handshakesPerAddress']} of one address`,
    ])
      assert.ok(limits.includes(number), number);
    assert.equal(maxPayload(MAX_CHUNK), MAX_CHUNK + 8);
    assert.equal(maxPayload(MIN_CHUNK), MAX_META_PAYLOAD);
    const tls = chapter('TLS').join('\n');
    for (const label of [SESSION_EXPORTER_LABEL, LANE_EXPORTER_LABEL, `${EXPORTER_BYTES} bytes each`])
      assert.ok(tls.includes(label), label);
  });

  test('has no link that leads nowhere', () => {
    const titles = [...document.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, anchor] of document.matchAll(/\]\(#([^)]+)\)/g))
      assert.ok(titles.includes(anchor ?? ''), anchor);
  });
});
