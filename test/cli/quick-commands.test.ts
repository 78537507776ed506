import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { namesOf } from '../../src/cli/command.ts';
import { parseCommandLine } from '../../src/cli/parser.ts';
import { parseWords } from '../../src/cli/program.ts';
import { quickCommand } from '../../src/cli/quick-commands.ts';
import { COMMANDS, commandsFor } from '../../src/cli/table.ts';

suite('a command that is loaded without the others', () => {
  test('is the one of that name in the table', async () => {
    let found = 0;
    for (const command of COMMANDS) {
      for (const name of namesOf(command)) {
        const quick = quickCommand([name]);
        if (quick === undefined) continue;
        assert.equal(await quick.load(), command, name);
        found += 1;
      }
    }
    assert.ok(found >= 9, `${found} names`);
  });

  test('understands, refuses and explains as beside the others', async () => {
    for (const { name } of commandsFor('once')) {
      const command = await quickCommand([name])?.load();
      if (command === undefined) continue;
      for (const rest of [
        ['--help'],
        ['--no-such-option'],
        [],
        ['a', 'b', 'c', 'd'],
        ['--json', 'nas:/a', './'],
      ]) {
        const words = [name, ...rest];
        const alone = () => parseCommandLine(words, { commands: [command], surface: 'once', columns: 80 });
        assert.deepEqual(
          outcome(alone),
          outcome(() => parseWords(words, 'once')),
          words.join(' '),
        );
      }
    }
  });

  test('is none for what begins otherwise', () => {
    for (const words of [[], ['--json', 'get'], ['help', 'get'], ['toString'], ['__proto__']])
      assert.equal(quickCommand(words), undefined, words.join(' '));
  });
});

function outcome(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
}
