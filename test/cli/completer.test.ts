import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { complete } from '../../src/cli/completer.ts';
import { Workspace } from '../../src/cli/workspace.ts';
import { needs } from '../needs.ts';
import { folderIn, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

// Nobody on the network shall be looked for.
process.env['LOCALSTREAM_DISCOVERY_ENABLED'] = 'off';
const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const local = folderIn(folder, 'local');
for (const name of ['report 1.txt', 'report 2.txt', "it's.txt", 'plain.txt', '.hidden']) {
  writeFileSync(join(local, name), 'x');
  writeFileSync(join(docs, `far ${name}`), 'x');
}
mkdirSync(join(local, 'sub folder'));

test('commands, options, paths and quotes', async () => {
  await using workspace = new Workspace(join(folder, 'home'), () => {});
  const l = `${local}/`;
  const table: [string, string | undefined][] = [
    ['disc', 'disconnect '],
    ['help disc', 'disconnect '],
    ['ls; disc', 'disconnect '],
    ['ls;disc', 'disconnect '],
    ['- disc', 'disconnect '],
    ['-disc', '-disconnect '],
    ['get --acc', '--accept-new '],
    ['get --js', '--json '],
    [`put ${l}pl`, `${l}plain.txt `],
    [`put --verify ${l}pl`, `${l}plain.txt `],
    [`put --limit 1k ${l}pl`, `${l}plain.txt `],
    [`put ${l}rep`, `${l}report\\ `],
    [`put "${l}rep`, `"${l}report `],
    [`put '${l}rep`, `'${l}report `],
    [`put ${l}report\\ 1`, `${l}report\\ 1.txt `],
    [`put "${l}report 1`, `"${l}report 1.txt" `],
    [`put '${l}report 1`, `'${l}report 1.txt' `],
    [`put ${l}it`, `${l}it\\'s.txt `],
    [`put '${l}it`, `${l}it\\'s.txt `],
    [`put ${l}sub`, `${l}sub\\ folder/`],
    [`put "${l}sub`, `"${l}sub folder/`],
    [`put ${l}.h`, `${l}.hidden `],
    [`lcd ${l}s`, `${l}sub\\ folder/`],
    [`lcd ${l}pl`, undefined],
    ['get nas:/do', undefined],
    ['nonsense a', undefined],
    ['! disc', undefined],
    ['ls && disc', undefined],
    ['cancel ', undefined],
    ['connect ', undefined],
    ['receive 7-aar', '7-aardvark-'],
    ['receive 7-aardvark-yoy', '7-aardvark-yoyo '],
    ['receive 7-ab', undefined],
    [`receive ${l}sub`, `${l}sub\\ folder/`],
    [`receive 7-aardvark-yoyo ${l}sub`, `${l}sub\\ folder/`],
    ['pair 7-aar', '7-aardvark-'],
    ['pair x', undefined],
  ];
  for (const [line, expected] of table)
    assert.equal((await complete(line, workspace)).replacement, expected, line);
  const { choices, replacement, typed } = await complete(`put ${l}report\\ `, workspace);
  assert.deepEqual(
    [choices, replacement, typed],
    [['report 1.txt', 'report 2.txt'], undefined, `${l}report\\ `],
  );
  assert.ok((await complete('', workspace)).choices.includes('send_file'));
  assert.deepEqual((await complete(`put ${l}`, workspace)).choices.includes('.hidden'), false);
});

describe('completion in a terminal', needs('tmux'), () => {
  test('Tab completes what is on the server, and shows what there is', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer, '--accept-new'], { home: client, cwd: local });
    await shell.until(/\S+>$/);
    shell.type('ls d');
    shell.press('BSpace', 'Tab');
    await shell.until(/> ls \/docs\/$/);
    shell.type('fa');
    shell.press('Tab');
    await shell.until(/> ls \/docs\/far\\$/);
    // Two at once would be a paste, in which a tab is a tab.
    for (const _ of [1, 2]) {
      await pause(300);
      shell.press('Tab');
    }
    await shell.until(/far \.hidden +far it's\.txt +far plain\.txt[\s\S]*\n\S+> ls \/docs\/far\\$/);
    shell.type('pl');
    shell.press('Tab');
    await shell.until(/> ls \/docs\/far\\ plain\.txt$/);
    shell.press('Enter');
    await shell.until(/far plain\.txt\n\S+>$/);
  });
});
