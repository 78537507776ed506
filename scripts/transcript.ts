/**
 * Plays the terminals of the README with the real program, two machines in fresh homes, and writes what their screens show into
 * its blocks. What differs from run to run has a fixed form there: keys, the check number, addresses, ports, times. A
 * test plays the same and compares.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fingerprint, parseFingerprint } from '../src/crypto/fingerprint.ts';
import { fingerprintWords } from '../src/crypto/fingerprint-words.ts';
import { environment, freePort, LAUNCHER } from '../test/cli/cli-process.ts';
import { Terminal } from '../test/cli/tmux.ts';

const README = join(import.meta.dirname, '..', 'README.md');
const WORDS_IN_A_LINE = 6;
const CHECK_NUMBER = '180 839';
const PORT = '7353';
/** A transfer of some bytes takes as long as the machine makes it. */
const SECONDS = 0.05;

/** The machines as the README calls them. */
const MACHINES = {
  nas: {
    address: '192.168.1.20',
    fingerprint: parseFingerprint('SHA256:mqUZl8fTW60rwmYaAYVOA+oJ6bom8H/Pq/W4P+Ni6Eg'),
    files: { 'photos/beach.jpg': 'sun\n', 'photos/2024/may.jpg': 'may\n' },
    folders: ['photos/2024/empty', 'incoming'],
  },
  desk: {
    address: '192.168.1.31',
    fingerprint: parseFingerprint('SHA256:K75q22QJ3RfuVeX9zdOgaia10QAM+Gr6tYj+RR4+C4w'),
    files: { 'report.pdf': 'hi\n' },
    folders: [],
  },
} as const;
type Name = keyof typeof MACHINES;

/** What a person does, and what is on the screen before the next step. */
type Step =
  /** The greeting is shown once: a second one says nothing new. */
  | { readonly kind: 'start'; readonly isGreeted: boolean }
  | { readonly kind: 'type'; readonly text: string; readonly until: RegExp }
  | { readonly kind: 'press'; readonly keys: readonly string[]; readonly until: RegExp }
  | { readonly kind: 'wait'; readonly until: RegExp };

/** The blocks of the README in their order. */
const BLOCKS: readonly { readonly on: Name; readonly steps: readonly Step[] }[] = [
  {
    on: 'nas',
    steps: [
      { kind: 'start', isGreeted: true },
      {
        kind: 'type',
        text: `add_connection ${PORT} 2 --share photos --share in=incoming:wo`,
        until: /^listening on /m,
      },
    ],
  },
  {
    on: 'desk',
    steps: [
      { kind: 'start', isGreeted: false },
      { kind: 'type', text: 'connect 192.168.1.20', until: /Connect to it\?/ },
      { kind: 'press', keys: ['Down', 'Down'], until: /❯ yes, and remember/ },
      { kind: 'press', keys: ['Enter'], until: /^✔ Connect to it\?/m },
    ],
  },
  {
    on: 'nas',
    steps: [
      { kind: 'wait', until: /^\[1\] an unknown client wants in(?:.*\n)*.*check number/m },
      { kind: 'type', text: 'trust 1', until: /^trusted: desk(?:.*\n)*desk .* is connected on/m },
    ],
  },
  {
    on: 'desk',
    steps: [
      { kind: 'wait', until: /^connected to nas/m },
      { kind: 'type', text: 'list_dir', until: /^share .* in\//m },
      { kind: 'type', text: 'get /photos/beach.jpg', until: /^[0-9a-f]{64} {2}beach\.jpg$/m },
      { kind: 'type', text: 'put report.pdf /in/', until: /^[0-9a-f]{64} {2}report\.pdf$/m },
    ],
  },
];

/** One machine while it is played. */
interface Machine {
  readonly name: Name;
  readonly home: string;
  readonly cwd: string;
  readonly fingerprint: Fingerprint;
  terminal: Terminal | undefined;
  /** Whether the next block has to say how it was started. */
  isNew: boolean;
  /** Lines of its screen that no further block has. */
  shown: number;
}

/** A session that was played; its machines are as it left them until it is disposed of. */
export interface Played extends Disposable {
  /** What each block has to hold. */
  readonly blocks: readonly { readonly on: Name; readonly lines: readonly string[] }[];
  readonly machines: Readonly<Record<Name, Pick<Machine, 'home' | 'cwd'>>>;
  /** Six digits, as each of the screens shows them. */
  readonly checkNumbers: readonly string[];
  /** Types a last line at a machine and waits until its shell has ended. */
  leave(name: Name): Promise<void>;
}

/** Plays the session in a folder of its own, with a port that is free here. */
export async function playSession(): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-transcript-'));
  const port = await freePort();
  const machines = { nas: machineIn(folder, 'nas', port), desk: machineIn(folder, 'desk', port) };
  const dispose = () => {
    for (const { terminal } of Object.values(machines)) terminal?.[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const blocks: { on: Name; lines: string[] }[] = [];
    for (const { on, steps } of BLOCKS) {
      const machine = machines[on];
      for (const step of steps) await take(step, machine, port);
      blocks.push({ on, lines: newLines(machine) });
    }
    const normal = normaliserOf(machines, port);
    return {
      blocks: blocks.map(({ on, lines }) => ({ on, lines: lines.map((line) => normal(line, on)) })),
      machines,
      checkNumbers: Object.values(machines).flatMap(({ terminal }) => {
        const [, number] = /check number +(\d{3} \d{3})/.exec(terminal?.lines.join('\n') ?? '') ?? [];
        return number === undefined ? [] : [number];
      }),
      leave: async (name) => {
        const { terminal } = machines[name];
        terminal?.type('exit');
        terminal?.press('Enter');
        await terminal?.until(/ended 0/);
      },
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

function machineIn(folder: string, name: Name, port: number): Machine {
  const cwd = join(folder, name);
  const home = join(cwd, '.home');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  writeFileSync(join(home, 'config.json'), JSON.stringify({ name, port }), { mode: 0o600 });
  const { files, folders } = MACHINES[name];
  for (const path of folders) mkdirSync(join(cwd, path), { recursive: true });
  for (const [path, content] of Object.entries(files)) writeFileSync(join(cwd, path), content);
  return { name, home, cwd, fingerprint: fingerprintIn(home), terminal: undefined, isNew: false, shown: 0 };
}

const PROMPT = /^\S+(?: \S+)*>$/;

async function take(step: Step, machine: Machine, port: number): Promise<void> {
  if (step.kind === 'start') {
    const { home, cwd } = machine;
    // As it is by default; of two shells on one machine the second takes the next port.
    const env = { LOCALSTREAM_SHELL_LISTEN: undefined };
    machine.terminal = new Terminal([], { home, cwd, columns: 200, rows: 60, env });
    // The last of the greeting comes in its own time, also after a prompt.
    await machine.terminal.until(/^this is \S+, SHA256:/m);
    await settled(machine);
    machine.isNew = true;
    if (!step.isGreeted) machine.shown = machine.terminal.lines.length - 1;
    return;
  }
  const { terminal } = machine;
  if (terminal === undefined) throw new Error(`${machine.name} is used before it is started`);
  if (step.kind === 'type') {
    await settled(machine);
    terminal.type(step.text.replace(PORT, String(port)).replace(/192\.168\.1\.\d+/, '127.0.0.1'));
    terminal.press('Enter');
  }
  if (step.kind === 'press') terminal.press(...step.keys);
  // Earlier lines may look the same.
  await terminal.untilLines(
    (lines) => step.until.test(lines.slice(machine.shown).join('\n')),
    String(step.until),
  );
  if (step.kind === 'type' && !step.until.test('Connect to it?')) await settled(machine);
}

/** Waits for an empty prompt at the bottom. */
async function settled({ terminal }: Machine): Promise<void> {
  await terminal?.untilLines((lines) => PROMPT.test(lines.at(-1) ?? ''), 'a prompt');
}

/** Of the greeting: nobody on the network shall see a machine that is only played. */
const NOT_FOUND_HERE = /^(?:others reach this machine on port| {2}nothing is shared)/;

/** What has come to the screen since the last block, but for the prompt that waits. */
function newLines(machine: Machine): string[] {
  const { terminal, shown } = machine;
  const lines = terminal?.lines ?? [];
  const end = PROMPT.test(lines.at(-1) ?? '') ? lines.length - 1 : lines.length;
  machine.shown = end;
  const from = machine.isNew ? ['$ localstream'] : [];
  machine.isNew = false;
  return [...from, ...lines.slice(shown, end).filter((line) => !NOT_FOUND_HERE.test(line))];
}

/** Puts the fixed forms in the place of what this run had. */
function normaliserOf(
  machines: Readonly<Record<Name, Machine>>,
  port: number,
): (line: string, on: Name) => string {
  const names = ['nas', 'desk'] as const;
  const keys = names.map((name) => [machines[name].fingerprint, MACHINES[name].fingerprint] as const);
  const words = keys.flatMap(([real, fixed]) => {
    const lines = [real, fixed].map(wordLines);
    return (lines[0] ?? []).map((line, index) => [line, lines[1]?.[index] ?? ''] as const);
  });
  return (line, on) => {
    let text = line;
    for (const [real, fixed] of [...keys, ...words]) text = text.replaceAll(real, fixed);
    const other = on === 'nas' ? 'desk' : 'nas';
    return text
      .replace(/ :\d+>/g, ` :${PORT}>`)
      .replaceAll(String(port), PORT)
      .replaceAll(/127\.0\.0\.1(?::(?!7353)\d+)?/g, MACHINES[other].address)
      .replaceAll(/\b\d{3} \d{3}\b/g, CHECK_NUMBER)
      .replaceAll(/(\d+) B in [\d.]+ s(?: \([^)]*\))?/g, (_, bytes: string) => {
        return `${bytes} B in ${SECONDS} s (${Number(bytes) / SECONDS} B/s)`;
      });
  };
}

/** The lines in which the words of a key are shown. */
function wordLines(fingerprint: Fingerprint): string[] {
  const words = fingerprintWords(fingerprint);
  const starts = words.flatMap((_, index) => (index % WORDS_IN_A_LINE === 0 ? [index] : []));
  return starts.map((start) => words.slice(start, start + WORDS_IN_A_LINE).join(' '));
}

/** Makes the keys, and tells them. */
function fingerprintIn(home: string): Fingerprint {
  const words = [LAUNCHER, 'identity'];
  const text = execFileSync(process.execPath, words, { env: environment(home), encoding: 'utf8' });
  return parseFingerprint(text.slice(0, text.indexOf(' ')));
}

/** The README with its terminals as they are today. */
export function withBlocks(readme: string, blocks: Played['blocks']): string {
  let index = 0;
  const text = readme.replaceAll(/^```console (\w+)\n[\s\S]*?^```$/gm, (_, on: string) => {
    const block = blocks[index];
    index += 1;
    if (block?.on !== on) throw new Error(`the terminal ${index} of the README is not that of ${block?.on}`);
    return [`\`\`\`console ${on}`, ...block.lines, '```'].join('\n');
  });
  if (index !== blocks.length) throw new Error(`the README has ${index} terminals, not ${blocks.length}`);
  return text;
}

if (import.meta.main) {
  using played = await playSession();
  writeFileSync(README, withBlocks(readFileSync(README, 'utf8'), played.blocks));
}
