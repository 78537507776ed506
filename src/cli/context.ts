/** What a command is given to work with. */
import type { PeerInfo, Progress, RetryNotice } from '../index.ts';
import type { Asker } from './asker.ts';
import type { CommandEvent } from './events.ts';
import type { Output } from './output.ts';
import { peerDetail, peerText } from './peer-text.ts';
import type { ProgressReporter } from './progress-meters.ts';
import { formatClock } from './units.ts';
import type { Workspace } from './workspace.ts';

/** Options that every command takes. */
export interface Globals {
  /** Events instead of text. */
  readonly json: boolean;
  /** Folder of identity, trust and settings, where not the usual one. */
  readonly home: string | undefined;
  readonly verbose: boolean;
  /** Accept offers. Never: trust a key, overwrite, delete. */
  readonly yes: boolean;
}

/** The shell, as far as commands reach into it. */
export interface ShellControl {
  /** Ends the shell after the command that is running. Throws BUSY where jobs run and nobody can be asked about them. */
  leave(): Promise<void>;
}

/** The server of a home, as far as commands that others have it run reach into it. */
export interface ServerControl {
  /** Where relative paths of the command start. */
  readonly cwd: string;
  /** Ends the server. Resolves when everything is closed, the lock of the home included. */
  shutdown(): Promise<void>;
}

/** This process as the server of its home. */
export interface ServerHost {
  /** For what happens by itself: other terminals are told, too. */
  readonly output: Output;
  /** Who is asked about strangers. */
  readonly asker: Asker;
  /** Aborted when another terminal wants it to end. */
  readonly ending: AbortSignal;
  /** Listens to other terminals from now on. */
  open(): Promise<void>;
  /** Tells them which ports are open. */
  tellState(): void;
  /** Closes everything, and gives the home up. May be called again. */
  close(): Promise<void>;
}

/** Help, for people and for programs. */
export interface Help {
  readonly text: string;
  readonly events: readonly CommandEvent[];
}

/** What a command is given to work with. */
export interface Context {
  /** Undefined outside the shell. */
  readonly shell: ShellControl | undefined;
  /** Set where the server of the home runs the command for another process. */
  readonly server?: ServerControl;
  /**
   * Makes this process the server of its home, outside the shell only. With `ask` strangers wait for the answer of another
   * terminal. `output` is for what happens by itself. Throws SERVER_RUNNING, STATE.
   */
  becomeServer?(ask: boolean, output: Output): Promise<ServerHost>;
  /**
   * Has the server of the home run this command, in the shell only.
   * @param words Another one.
   * @returns false where none is running that the shell works with.
   */
  forward?(words?: readonly string[]): Promise<boolean>;
  /** Of this command. */
  readonly output: Output;
  /** For what is told after the command is over. */
  readonly background: Output;
  /** Aborted by Ctrl-C (CANCELLED) or a signal (TERMINATED). */
  readonly signal: AbortSignal;
  /** Of a job: aborted before `signal` where what has arrived is not to be kept. */
  readonly discard?: AbortSignal;
  readonly globals: Globals;
  readonly workspace: Workspace;
  readonly asker: Asker;
  /** Shows how transfers go until it is disposed of. */
  progress(): ProgressReporter;
  /** The help of one command, or of all that work here. Throws USAGE for a command that there is not. */
  help(name?: string): Promise<Help>;
  /** What makes Tab complete in a shell of the system. */
  completion(shell: 'bash' | 'zsh' | 'fish'): Promise<string>;
  /** Opens the shell on this workspace and resolves when it is left; the status of a script that failed is thrown. */
  openShell(): Promise<void>;
}

/** What every transfer of a command is given. */
export interface TransferOptions {
  readonly signal: AbortSignal;
  readonly discard?: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onRetry: (next: RetryNotice) => void;
  readonly onElsewhere: (server: PeerInfo) => void;
}

/** Stops with the command, and shows how it goes. */
export function transferOptions(context: Context, progress: ProgressReporter): TransferOptions {
  const { output, signal, discard } = context;
  return {
    signal,
    ...(discard === undefined ? {} : { discard }),
    onProgress: (state) => progress.report(state),
    onElsewhere: (server) =>
      output.note(`going on at ${peerText(server)}, which was named by the server that is gone`, {
        event: 'elsewhere',
        peer: peerDetail(server),
      }),
    onRetry: ({ attempt, at, until, error }) => {
      const now = Date.now();
      const seconds = Math.max(0, Math.round((at.getTime() - now) / 100) / 10);
      const left = formatClock((until.getTime() - now) / 1000);
      output.note(`${error.message}; trying again in ${seconds} s, for another ${left} at the most`, {
        event: 'retry',
        attempt,
        at: at.toISOString(),
        until: until.toISOString(),
        code: error.code,
        message: error.message,
      });
    },
  };
}
