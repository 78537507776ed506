/** The other end of a server's socket: has it run a command, and shows what comes back as if it ran here. */
import type { Socket } from 'node:net';
import { errorOf, type LocalstreamError } from '../../errors.ts';
import { resolveHome } from '../../store/home.ts';
import type { Context } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { PLAIN } from '../paint.ts';
import {
  errorOfFailure,
  MOST_ANSWER_BYTES,
  REQUEST,
  type RunRequest,
  readAnswer,
  readLines,
  type Steering,
  sendLine,
} from './messages.ts';
import { dialServer } from './socket.ts';

/** Connects to the server of a home; undefined where none is running. Throws STATE. */
export async function findServer(home: string | undefined): Promise<Socket | undefined> {
  return await dialServer(resolveHome(process.env, home));
}

/** Has the server run a command. Throws what the command throws there, and LOST when the server is gone. */
export async function runThere(socket: Socket, words: readonly string[], context: Context): Promise<void> {
  const { signal, output } = context;
  using progress = context.progress();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = () => {
    const { code } = toLocalstreamError(signal.reason);
    sendLine(socket, { cancel: code === 'TERMINATED' ? code : 'CANCELLED' } satisfies Steering);
  };
  const fail = (error: LocalstreamError) => {
    reject(error);
    socket.destroy();
  };
  socket.on('error', (cause) => fail(errorOf('LOST', 'the server is gone', { cause })));
  socket.once('close', () => reject(errorOf('LOST', 'the server ended before the command was over')));
  const take = (value: unknown) => {
    const answer = readAnswer(value);
    if ('progress' in answer) progress.report(answer.progress);
    else if ('err' in answer) output.screen.err(answer.err);
    else if ('out' in answer) {
      output.screen.out(answer.out);
      // Whoever reads our output sets the pace.
      socket.pause();
      void output.screen.ready().then(() => socket.resume());
    } else if (answer.failure === null) resolve();
    else reject(errorOfFailure(answer.failure));
  };
  readLines(socket, MOST_ANSWER_BYTES, take, fail);
  sendLine(socket, requestOf(words, context));
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', cancel);
    socket.destroy();
  }
}

function requestOf(words: readonly string[], { output, globals }: Context): RunRequest {
  const { screen, style } = output;
  return {
    ...REQUEST,
    run: [...words],
    cwd: currentFolder(),
    json: output.json,
    verbose: globals.verbose,
    yes: globals.yes,
    columns: Math.min(10_000, Math.max(1, screen.columns)),
    colour: { out: style.paint !== PLAIN, err: style.errorPaint !== PLAIN },
    isTerminal: output.isTerminal,
  };
}

/** Empty where it is gone: then only whole paths can be meant. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '';
  }
}
