/** Commands that are run over and over: each can be had without loading all others, which takes longer than a small file. */
import type { Command } from './command.ts';

/** A command by the first word of the line. */
interface QuickCommand {
  /** Sure to move files, so that the thread which does that can be started before all else. */
  readonly movesFiles: boolean;
  load(): Promise<Command>;
}

const QUICK: Readonly<Record<string, QuickCommand>> = {
  get: { movesFiles: true, load: async () => (await import('./commands/get-put.ts')).get },
  put: { movesFiles: true, load: async () => (await import('./commands/get-put.ts')).put },
  mget: { movesFiles: true, load: async () => (await import('./commands/get-put.ts')).mget },
  mput: { movesFiles: true, load: async () => (await import('./commands/get-put.ts')).mput },
  receive: { movesFiles: true, load: async () => (await import('./commands/send.ts')).receive },
  send: { movesFiles: false, load: async () => (await import('./commands/send.ts')).send },
  list_dir: { movesFiles: false, load: async () => (await import('./commands/list-dir.ts')).listDir },
  ls: { movesFiles: false, load: async () => (await import('./commands/list-dir.ts')).listDir },
  serve: { movesFiles: false, load: async () => (await import('./commands/serve.ts')).serve },
};

/** The command that a line begins with, where it is one of these. */
export function quickCommand(argv: readonly string[]): QuickCommand | undefined {
  const [name = ''] = argv;
  return Object.hasOwn(QUICK, name) ? QUICK[name] : undefined;
}
