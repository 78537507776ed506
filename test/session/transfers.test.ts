import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { verifyReceipt } from '../../src/crypto/receipt.ts';
import type { Receipt } from '../../src/index.ts';
import { identities } from '../crypto/fixed.ts';
import { needs } from '../needs.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { survey } from '../transfer/engine-tree.ts';
import { machine, noise, pair, verified } from './machines.ts';

const MIB = 1024 * 1024;
const AWKWARD = [
  'with space',
  `it's "quoted"`,
  'new\nline',
  '😀',
  'e\u0301',
  '\u00e9',
  '-rf',
  'x'.repeat(255),
  '\x1b[31m',
];

/** A tree with something of every kind. */
function plant(folder: string): void {
  mkdirSync(join(folder, 'sub', 'empty'), { recursive: true });
  mkdirSync(join(folder, 'locked'));
  for (const [index, name] of AWKWARD.entries())
    writeFileSync(join(folder, 'sub', name), noise(index * 1000, index));
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/sub/`), Buffer.from([0xff, 0xfe])]), 'bytes');
  writeFileSync(join(folder, 'nothing'), '');
  writeFileSync(join(folder, 'middling'), noise(700_000));
  writeFileSync(join(folder, 'big'), noise(5 * MIB + 3));
  writeFileSync(join(folder, 'tool'), '#!/bin/sh\n', { mode: 0o755 });
  chmodSync(join(folder, 'tool'), 0o6755);
  writeFileSync(join(folder, 'locked', 'file'), 'x', { mode: 0o400 });
  symlinkSync('sub/with space', join(folder, 'link'));
  symlinkSync('/etc/passwd', join(folder, 'leaving'));
  utimesSync(join(folder, 'big'), 1, 1_234_567_890.123_456);
  utimesSync(join(folder, 'nothing'), 1, -1000);
  utimesSync(join(folder, 'tool'), 1, 4_102_444_800);
  chmodSync(join(folder, 'locked'), 0o500);
}

/** What arrived is what was sent, less what may not cross. */
function assertArrived(from: string, to: string): void {
  const [sent, there] = [survey(from), survey(to)];
  sent.delete('leaving');
  assert.deepEqual([...there.keys()].sort(), [...sent.keys()].sort());
  for (const [path, { kind, value, mode, mtime }] of sent) {
    const seen = there.get(path);
    assert.deepEqual([path, seen?.kind, seen?.value], [path, kind, value]);
    assert.equal(seen?.mode, kind === 'link' ? mode : mode & 0o777, path);
    assert.equal((seen?.mtime ?? 0n) / 1000n, mtime / 1000n, path);
  }
}

/** The other end's receipt of a transfer. */
function otherReceipt(receipts: readonly Receipt[], { transferId }: Receipt): Receipt {
  const found = receipts.find((receipt) => receipt.transferId === transferId);
  assert.ok(found);
  return found;
}

suite('files and folders', () => {
  test('cross whole by get, put and offer, twice, and both ends say the same of it', async (t) => {
    const { base, share, local, listener, session } = await pair(t);
    const receipts: Receipt[] = [];
    listener.on('receipt', (receipt) => receipts.push(receipt));
    plant(join(share, '..', 'tree'));
    const tree = join(base, 'tree');
    const check = (receipt: Receipt, other: Receipt, direction: 'send' | 'receive') => {
      assert.equal(receipt.code, 'OK');
      assert.equal(receipt.direction, direction);
      assert.deepEqual([receipt.files, receipt.skipped, receipt.failed], [15, 1, 0]);
      assert.equal(receipt.bytes, other.bytes);
      assert.equal(receipt.bytesMoved, other.bytesMoved);
      assert.deepEqual(
        [receipt.digest, receipt.body, receipt.signature],
        [other.digest, other.body, other.signature],
      );
      const key = createPublicKey(identities[direction === 'receive' ? 'alice' : 'bob'].signingKey);
      assert.ok(verifyReceipt(key, Buffer.from(receipt.body), Buffer.from(receipt.signature, 'base64')));
      assert.equal(
        verifyReceipt(key, Buffer.from(`${receipt.body} `), Buffer.from(receipt.signature, 'base64')),
        false,
      );
      const left = receipt.outcomes[0];
      assert.deepEqual([left?.path, left?.outcome, left?.code], ['tree/leaving', 'skipped', 'LEAVES_TREE']);
    };

    for (const [moves, target] of [
      [true, '/share/'],
      [false, '/share/'],
    ] as const) {
      const sent = await session.put([tree], target);
      await until(() => receipts.some(({ transferId }) => transferId === sent.transferId));
      check(sent, otherReceipt(receipts, sent), 'send');
      assert.equal(sent.bytesMoved > 0, moves);
      assertArrived(tree, join(share, 'tree'));
    }
    symlinkSync('/etc/passwd', join(share, 'tree', 'leaving'));
    for (const moves of [true, false]) {
      const got = await session.get(['/share/tree'], `${local}/`);
      await until(() => receipts.some(({ transferId }) => transferId === got.transferId));
      check(got, otherReceipt(receipts, got), 'receive');
      assert.equal(got.bytesMoved > 0, moves);
      assertArrived(tree, join(local, 'tree'));
    }
    const [peer] = listener.peers;
    for (const moves of [true, false]) {
      const offered = session.nextOffer();
      const sending = listener.send(peer?.id ?? '', [tree]);
      const offer = await offered;
      assert.deepEqual(offer.roots, [{ name: 'tree', type: 'folder', size: null }]);
      const got = await offer.accept(join(local, 'renamed'));
      check(got, await sending, 'receive');
      assert.equal(got.bytesMoved > 0, moves);
      assertArrived(tree, join(local, 'renamed'));
    }
    assert.deepEqual([session.transfers, listener.transfers, session.offers], [[], [], []]);
  });

  test('several at once, and each by the rules of its target', async (t) => {
    const { share, local, session } = await pair(t);
    for (const name of ['a', 'b']) writeFileSync(join(share, name), name);
    mkdirSync(join(share, 'folder'));
    writeFileSync(join(share, 'folder', 'c'), 'c');
    const all = await session.get(['/share/a', '/share/b', '/share/folder/'], local);
    assert.deepEqual([all.code, all.files], ['OK', 3]);
    assert.deepEqual(readdirSync(local).sort(), ['a', 'b', 'folder']);
    // A file goes into a folder, or else the target is its name; a folder goes by the spelling alone.
    await session.get(['/share/a'], join(local, 'folder'));
    await session.get(['/share/a'], join(local, 'other'));
    await session.get(['/share/folder'], join(local, 'copy'));
    await session.get(['/share/folder'], join(local, 'copy'));
    await session.get(['/share/folder'], `${local}/copy/`);
    await session.get(['/share'], `${local}/`);
    assert.deepEqual(
      [...survey(local).keys()].sort(),
      [
        ...[
          'a',
          'b',
          'copy',
          'copy/c',
          'copy/folder',
          'copy/folder/c',
          'folder',
          'folder/a',
          'folder/c',
          'other',
        ],
        ...['share', 'share/a', 'share/b', 'share/folder', 'share/folder/c'],
      ].sort(),
    );
    await session.put([join(local, 'a'), join(local, 'copy')], '/share/folder/');
    await session.put([join(local, 'a')], '/share/folder');
    await session.put([join(local, 'copy')], '/share/new');
    assert.deepEqual([...survey(join(share, 'folder')).keys()].sort(), [
      'a',
      'c',
      'copy',
      'copy/c',
      'copy/folder',
      'copy/folder/c',
    ]);
    assert.deepEqual([...survey(join(share, 'new')).keys()].sort(), ['c', 'folder', 'folder/c']);
  });

  test('a folder reached through a link of the user’s own is that folder', async (t) => {
    const { base, share, local, session } = await pair(t);
    mkdirSync(join(share, 'folder'));
    writeFileSync(join(share, 'folder', 'c'), 'c');
    writeFileSync(join(share, 'a'), 'a');
    mkdirSync(join(base, 'elsewhere'));
    symlinkSync('../elsewhere', join(local, 'link'));
    for (const target of [join(local, 'link'), `${local}/link/`])
      await session.get(['/share/a', '/share/folder'], target);
    await session.get(['/share/folder'], join(local, 'link'));
    assert.deepEqual([...survey(join(base, 'elsewhere')).keys()].sort(), ['a', 'c', 'folder', 'folder/c']);
    assert.deepEqual(readdirSync(local), ['link']);
  });

  test('what exists is dealt with as the policy says', async (t) => {
    const { share, local, session } = await pair(t);
    const reset = () => {
      writeFileSync(join(share, 'x'), 'newer');
      utimesSync(join(share, 'x'), 2, 2);
      writeFileSync(join(local, 'x'), 'old');
      utimesSync(join(local, 'x'), 1, 1);
    };
    reset();
    const failed = await session.get(['/share/x'], `${local}/`);
    assert.deepEqual([failed.code, failed.outcomes[0]?.code, failed.failed], ['EXISTS', 'EXISTS', 1]);
    // Who is asked about it has something to go by.
    const [of] = failed.outcomes;
    assert.deepEqual([of?.size, of?.mtime], [5, new Date(2000)]);
    assert.deepEqual(of?.there, { size: 3, mtime: new Date(1000) });
    const [sent] = (await session.put([join(local, 'x')], '/share/')).outcomes;
    assert.deepEqual([sent?.size, sent?.mtime, sent?.there], [3, new Date(1000), undefined]);
    assert.equal(readFileSync(join(local, 'x'), 'utf8'), 'old');
    const skipped = await session.get(['/share/x'], `${local}/`, { existing: 'skip' });
    assert.deepEqual([skipped.code, skipped.skipped], ['OK', 1]);
    const renamed = await session.get(['/share/x'], `${local}/`, { existing: 'rename' });
    assert.equal(renamed.outcomes[0]?.savedAs, 'x (2)');
    assert.deepEqual(
      (await session.get(['/share/x'], `${local}/`, { existing: 'rename' })).outcomes[0]?.outcome,
      'same',
    );
    await session.get(['/share/x'], `${local}/`, { existing: 'update' });
    assert.equal(readFileSync(join(local, 'x'), 'utf8'), 'newer');
    reset();
    utimesSync(join(local, 'x'), 1, 4e9);
    await session.get(['/share/x'], `${local}/`, { existing: 'update' });
    assert.equal(readFileSync(join(local, 'x'), 'utf8'), 'old');
    await session.get(['/share/x'], `${local}/`, { existing: 'overwrite' });
    assert.equal(readFileSync(join(local, 'x'), 'utf8'), 'newer');
    assert.deepEqual(readdirSync(local).sort(), ['x', 'x (2)']);
  });

  for (const [chunk, lanes] of [
    [1024, 1],
    [4_194_304, 1],
    [65_536, 4],
    [1_048_576, 16],
  ] as const)
    test(`cross in frames of ${chunk} bytes over ${lanes} lanes`, async (t) => {
      const { base, share, session } = await pair(t);
      mkdirSync(join(base, 'tree'));
      for (let number = 0; number < 30; number += 1)
        writeFileSync(join(base, 'tree', `f${number}`), noise(number * 999, number));
      writeFileSync(join(base, 'tree', 'big'), noise(chunk === 1024 ? MIB : 20 * MIB));
      assert.equal((await session.put([join(base, 'tree')], '/share/', { chunk, lanes })).code, 'OK');
      assertArrived(join(base, 'tree'), join(share, 'tree'));
      assert.equal((await session.get(['/share/tree'], join(base, 'back'), { chunk, lanes })).code, 'OK');
      assertArrived(join(base, 'tree'), join(base, 'back'));
    });
});

test('digests are those of b3sum', needs('b3sum'), async (t) => {
  const { share, local, session } = await pair(t);
  for (const size of [0, 1, 1024, 1025, 300_000, 3 * MIB + 1])
    writeFileSync(join(share, `file ${size}`), noise(size, size));
  const receipt = await session.get(['/share'], join(local, 'copy'));
  for (const { path, digest } of receipt.outcomes) {
    const file = join(local, path.replace('share', 'copy'));
    assert.equal(digest, execFileSync('b3sum', ['--no-names', file], { encoding: 'utf8' }).trim());
  }
  const one = await session.get(['/share/file 300000'], join(local, 'one'));
  assert.equal(
    one.digest,
    execFileSync('b3sum', ['--no-names', join(local, 'one')], { encoding: 'utf8' }).trim(),
  );
});

test('what was renamed is known by the name that it has: again, in its receipt and when it is verified', async (t) => {
  const { base, share, local, session, alice, bob } = await pair(t);
  const out = join(base, 'out');
  mkdirSync(out);
  for (const [folder, text] of [
    [share, 'new'],
    [local, 'the other'],
    [out, 'one more'],
  ] as const) {
    writeFileSync(join(folder, 'x'), text);
    mkdirSync(join(folder, 'tree'));
    symlinkSync(text, join(folder, 'tree', 'link'));
  }
  const all = (folder: string) => ['x', 'tree'].map((name) => `${folder}/${name}`);
  const rename = { existing: 'rename' } as const;
  for (const run of [
    () => session.get(all('/share'), `${local}/`, rename),
    () => session.put(all(out), '/share/', rename),
  ])
    for (const outcome of ['committed', 'same', 'same']) {
      const { outcomes } = await run();
      assert.deepEqual(outcomes.map((of) => [of.path, of.outcome, of.savedAs]).sort(), [
        ['tree/link', outcome, 'link (2)'],
        ['x', outcome, 'x (2)'],
      ]);
    }
  await alice.close();
  await bob.close();
  for (const [machine, folder] of [
    [alice, local],
    [bob, share],
  ] as const)
    assert.deepEqual(await verified(machine, folder), [['x (2)', 'intact']]);
});

test('no path, or more than can be asked for, is a wrong call and ends no session', async (t) => {
  const { share, local, session } = await pair(t);
  const names = Array.from({ length: 4097 }, (_, index) => `f${index}`);
  for (const name of names) writeFileSync(join(share, name), name);
  const paths = names.map((name) => `/share/${name}`);
  for (const wrong of [[], paths])
    await assert.rejects(session.get(wrong, `${local}/`), { code: 'USAGE', message: /^one to 4096 paths/ });
  const receipt = await session.get(paths.slice(0, 4096), `${local}/`);
  assert.deepEqual([receipt.code, receipt.files], ['OK', 4096]);
  const sources = names.slice(0, 4096).map((name) => join(local, name));
  mkdirSync(join(share, 'back'));
  const back = await session.put(sources, '/share/back/');
  assert.deepEqual([back.code, back.files], ['OK', 4096]);
  assert.equal(readdirSync(join(share, 'back')).length, 4096);

  // Not too many, but too long for one message.
  const long = 'x'.repeat(200);
  const far = names.map((name) => `/share/${long}/${long}/${name}`).slice(1);
  await assert.rejects(session.get(far, `${local}/`), { code: 'LIMIT', hint: /the folder/ });
  assert.equal((await session.get(['/share/f0'], join(local, 'again'))).code, 'OK');
});

suite('what is told', () => {
  test('in the history, the receipts and the log is what crossed', async (t) => {
    const { base, share, local, alice, bob, session, listener } = await pair(t);
    writeFileSync(join(share, 'a'), 'four');
    mkdirSync(join(share, 'mixed'));
    writeFileSync(join(share, 'mixed', 'good'), 'good');
    writeFileSync(join(share, 'mixed', 'taken'), 'new');
    mkdirSync(join(local, 'mixed'));
    writeFileSync(join(local, 'mixed', 'taken'), 'old');
    const good = await session.get(['/share/a'], `${local}/`);
    const partly = await session.get(['/share/mixed'], join(local, 'mixed'));
    assert.deepEqual([partly.code, partly.files, partly.failed], ['PARTIAL', 1, 1]);
    await assert.rejects(session.get(['/share/nothing'], `${local}/`), { code: 'NOT_FOUND' });
    await assert.rejects(session.get(['/share/a'], join(local, 'missing', 'x')), { code: 'NOT_FOUND' });
    await session.close();
    await until(() => listener.peers.length === 0);
    await Promise.all([alice.close(), bob.close()]);

    for (const [machineOf, direction, other] of [
      ['alice', 'receive', identities.bob],
      ['bob', 'send', identities.alice],
    ] as const) {
      const again = await machine(t, mkdtempSync(join(base, 'again-')), 'mallory').then(async (opened) => {
        await opened.close();
        return (await import('../../src/index.ts')).openLocalstream({ home: join(base, machineOf) });
      });
      afterwards(t, () => again.close());
      const [record] = await again.sessions.list();
      assert.ok(record);
      assert.equal(record.peer.fingerprint, other.fingerprint);
      assert.equal(record.end?.code, 'OK');
      assert.deepEqual(
        record.transfers
          .filter(({ code }) => code !== 'NOT_FOUND' && code !== 'CLOSED')
          .map(({ direction: way, paths, files, bytes, code, digest }) => [
            way,
            paths,
            files,
            bytes,
            code,
            digest,
          ]),
        [
          [direction, ['a'], 1, 4, 'OK', good.digest],
          [direction, ['mixed/good', 'mixed/taken'], 1, 4, 'PARTIAL', partly.digest],
        ],
      );
      const stored = [];
      for await (const summary of again.receipts.list()) stored.push(summary);
      const summary = stored.find(({ transferId }) => transferId === good.transferId);
      assert.deepEqual(
        [summary?.direction, summary?.end?.code, summary?.end?.digest],
        [direction, 'OK', good.digest],
      );
      const lines = [];
      for await (const line of again.receipts.read(summary?.name ?? '')) lines.push(line);
      const signed = lines.find((line) => line.line === 'signed');
      assert.ok(signed?.line === 'signed');
      const key = createPublicKey(identities.alice.signingKey);
      assert.ok(
        verifyReceipt(key, Buffer.from(signed.body, 'base64'), Buffer.from(signed.signature, 'base64')),
      );
      assert.ok(
        lines.some((line) => line.line === 'file' && line.path === 'a' && line.digest === good.digest),
      );
      const log = readFileSync(again.home.errorLog, 'utf8');
      assert.match(log, /NOT_FOUND/);
    }
  });

  test('of progress never goes back, and ends where all is there', async (t) => {
    const { share, local, session } = await pair(t);
    writeFileSync(join(share, 'big'), noise(40 * MIB));
    const seen: [number, number, string][] = [];
    const receipt = await session.get(['/share/big'], `${local}/`, {
      limit: 60 * MIB,
      onProgress: ({ bytes, bytesTotal, phase, direction, transferId }) => {
        assert.equal(direction, 'receive');
        assert.match(transferId, /^[0-9a-f]{32}$/);
        seen.push([bytes, bytesTotal, phase]);
      },
    });
    assert.ok(seen.length > 1);
    for (const [index, [bytes, total]] of seen.entries()) {
      assert.ok(bytes >= (seen[index - 1]?.[0] ?? 0));
      assert.ok(bytes <= total || total === 0);
    }
    assert.deepEqual(seen.at(-1)?.slice(0, 2), [40 * MIB, 40 * MIB]);
    assert.equal(receipt.bytesMoved, 40 * MIB);
    assert.equal(statSync(join(local, 'big')).size, 40 * MIB);
  });

  test('to whoever asks for what is not there, or may not be', async (t) => {
    const { base, share, local, session, listener } = await pair(t);
    writeFileSync(join(share, 'a'), 'a');
    execFileSync('mkfifo', [join(share, 'pipe')]);
    symlinkSync('/etc', join(share, 'out'));
    const refused: [() => Promise<unknown>, string][] = [
      [() => session.get(['/share/nothing'], local), 'NOT_FOUND'],
      [() => session.get(['/other/a'], local), 'NOT_FOUND'],
      [() => session.get(['/share/../a'], local), 'BAD_NAME'],
      [() => session.get(['/share/out/passwd'], local), 'NOT_A_FOLDER'],
      [() => session.get(['/share/out'], local), 'NOT_A_FILE'],
      [() => session.get(['/share/pipe'], local), 'NOT_A_FILE'],
      [() => session.get(['/share/a/b'], local), 'NOT_A_FOLDER'],
      [() => session.get(['/share/a', '/share/./a'], local), 'USAGE'],
      [() => session.get(['/'], local), 'USAGE'],
      [() => session.get(['/share/a'], join(local, 'no', 'x')), 'NOT_FOUND'],
      [() => session.get(['/share'], join(share, 'a')), 'NOT_A_FOLDER'],
      [() => session.get(['/share'], 'x'.repeat(5000)), 'BAD_NAME'],
      [() => session.put([join(base, 'nothing')], '/share/'), 'NOT_FOUND'],
      [() => session.put([join(share, 'pipe')], '/share/'), 'NOT_A_FILE'],
      [() => session.put([join(share, 'a')], '/other/'), 'NOT_FOUND'],
      [() => session.put([join(share, 'a')], '/'), 'NOT_FOUND'],
      [() => session.put([join(share, 'a')], '/share/no/'), 'NOT_FOUND'],
      [() => session.put([join(share, 'a')], '/share/out/x'), 'NOT_A_FOLDER'],
      [() => session.put([join(share, 'a')], 'share'), 'BAD_NAME'],
      [() => listener.send('none', [join(share, 'a')]), 'NOT_CONNECTED'],
      [() => listener.send(listener.peers[0]?.id ?? '', [join(share, 'nothing')]), 'NOT_FOUND'],
    ];
    for (const [request, code] of refused) await assert.rejects(request, { code });
    assert.deepEqual(readdirSync(local), []);
    assert.equal(existsSync(join(share, 'no')), false);
    // And the session goes on.
    assert.equal((await session.get(['/share/a'], `${local}/`)).code, 'OK');
  });
});
