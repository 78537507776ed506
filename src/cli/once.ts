/** One run of the program: what was typed, the command, its ending, and the exit status. */
import { existsSync } from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { resolveHome } from '../store/home.ts';
import type { Asker } from './asker.ts';
import type { Context, Globals } from './context.ts';
import { type Ending, endingOf, settle } from './exit.ts';
import { Output } from './output.ts';
import { paintFor } from './paint.ts';
import { type Invocation, isAskedFor, parseCommandLine } from './parser.ts';
import { createProgress } from './progress.ts';
import { type Borrow, canAsk, terminalAsker } from './question.ts';
import { quickCommand } from './quick-commands.ts';
import { recoverArguments } from './raw-arguments.ts';
import { Screen } from './screen.ts';
import { Signals } from './signals.ts';
import { Workspace } from './workspace.ts';

/** Milliseconds that a process may still take to end by itself once everything is closed. */
const GRACE = 1000;

/** Runs the program and resolves with its exit status. Never rejects. */
export async function runOnce(argv: readonly string[]): Promise<number> {
  const screen = new Screen(process.stdout, process.stderr);
  const controller = new AbortController();
  const { signal } = controller;
  using signals = new Signals((error) => controller.abort(error));
  screen.onGone = () => controller.abort(errorOf('CANCELLED', 'nobody reads the output'));
  let output = new Output(screen, {
    json: isAskedFor('--json', argv),
    verbose: isAskedFor('--verbose', argv),
    paint: await paintFor(screen.stdout),
    errorPaint: await paintFor(screen.stderr),
  });
  const ran = await settle(signal, async () => {
    const words = await recoverArguments(argv);
    const invocation = await understand(words, screen.columns);
    if ('globals' in invocation) output = await coloured(output, invocation.globals);
    await run({ words, invocation, output, signal, signals });
  });
  const ending = afterOutput(ran, screen);
  if (ending.error !== undefined) output.error(ending.error);
  output.done(ending.status, ending.error?.code ?? 'OK');
  await screen.flush();
  // Everything is closed by now; should something still hold the process, the person is not made to wait for it.
  setTimeout(() => process.exit(ending.status), GRACE).unref();
  return ending.status;
}

async function understand(words: readonly string[], columns: number): Promise<Invocation> {
  const command = await quickCommand(words)?.load();
  if (command !== undefined)
    return parseCommandLine(words, { commands: [command], surface: 'once', columns });
  const { parseWords } = await import('./program.ts');
  return parseWords(words, 'once', columns);
}

/** In the colour that the settings file asks for: where it is shows when the line has been understood. */
async function coloured(output: Output, { home }: Globals): Promise<Output> {
  const place = resolveHome(process.env, home);
  if (!existsSync(place.settingsFile)) return output;
  const { loadSettings } = await import('../store/settings-store.ts');
  try {
    const { color } = (await loadSettings({ home: place, broken: 'refuse' })).settings;
    const { stdout, stderr } = output.screen;
    return output.with({
      paint: await paintFor(stdout, process.env, color),
      errorPaint: await paintFor(stderr, process.env, color),
    });
  } catch {
    // What is wrong with the settings the command says that needs them.
    return output;
  }
}

interface Run {
  readonly words: readonly string[];
  readonly invocation: Invocation;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly signals: Signals;
}

async function run({ words, invocation, output, signal, signals }: Run): Promise<void> {
  if (invocation.kind === 'help') {
    output.results(invocation.help.events, invocation.help.text);
    return;
  }
  if (invocation.kind === 'version') {
    const { version } = await import('./version.ts');
    output.result({ event: 'version', version }, version);
    return;
  }
  const { globals } = invocation;
  const styled = output.with({ json: globals.json, verbose: globals.verbose });
  const warn = (message: string) => styled.note(`localstream: ${escapeText(message, 1000)}`);
  await using workspace = new Workspace(globals.home, warn);
  const openShell = async (hidden = false, greets = false) => {
    const { runShell } = await import('./repl.ts');
    await runShell({ workspace, globals, output: styled, signal, signals, hidden, greets });
  };
  if (invocation.kind === 'shell' && invocation.script !== undefined) {
    const { Script } = await import('./script.ts');
    await new Script({ workspace, globals, output: styled, signal, signals }).run(
      invocation.script.split('\n'),
    );
    return;
  }
  if (invocation.kind === 'shell') {
    if (canAsk()) await greet(styled);
    await openShell(invocation.hidden, true);
    return;
  }
  const context: Context = {
    shell: undefined,
    output: styled,
    background: styled,
    signal,
    globals,
    workspace,
    asker: askerFor(styled, signals),
    progress: () => createProgress(styled),
    help: async (name) => (await import('./program.ts')).helpOf(name, 'once', styled.screen.columns),
    completion: async (shell) => (await import('./completion/script.ts')).completionScript(shell),
    openShell: () => openShell(),
    becomeServer: async (ask, background) => {
      const [{ Host }, { resolveHome }] = await Promise.all([
        import('./daemon/host.ts'),
        import('../store/home.ts'),
      ]);
      const home = resolveHome(process.env, globals.home);
      return await Host.take({ home, workspace, globals, output: background, asker: context.asker, ask });
    },
  };
  const { command, input } = invocation;
  if (command.server === undefined) await command.run(context, input);
  else await (await import('./dispatch.ts')).runOutsideShell(context, { command, input, words });
}

function askerFor(output: Output, signals: Signals): Asker {
  if (!canAsk()) return {};
  const borrow: Borrow = async (use) => {
    using _held = output.screen.hold();
    return await use();
  };
  return terminalAsker({ output, borrow, onInterrupt: () => signals.interrupt() });
}

async function greet(output: Output): Promise<void> {
  const [{ version }, { greeting }] = await Promise.all([import('./version.ts'), import('./greeting.ts')]);
  output.screen.err(`${greeting(version, output.screen.columns).join('\n')}\n`);
}

/** What became of the output counts as well: a result that could not be written was not delivered. */
function afterOutput(ending: Ending, screen: Screen): Ending {
  if (screen.failure === undefined) return ending;
  const error = errorOf('IO', `the output can't be written: ${screen.failure.message}`, {
    cause: screen.failure,
  });
  return endingOf(error, AbortSignal.abort());
}
