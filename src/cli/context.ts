/** What a command is given to work with. */
import type { Progress, RetryNotice } from '../index.ts';
import type { Asker } from './asker.ts';
import type { CommandEvent } from './events.ts';
import type { Output } from './output.ts';
import type { ProgressReporter } from './progress-meters.ts';
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

/** Help, for people and for programs. */
export interface Help {
  readonly text: string;
  readonly events: readonly CommandEvent[];
}

/** What a command is given to work with. */
export interface Context {
  /** Undefined outside the shell. */
  readonly shell: ShellControl | undefined;
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
  help(name?: string): Help;
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
}

/** Stops with the command, and shows how it goes. */
export function transferOptions(context: Context, progress: ProgressReporter): TransferOptions {
  const { output, signal, discard } = context;
  return {
    signal,
    ...(discard === undefined ? {} : { discard }),
    onProgress: (state) => progress.report(state),
    onRetry: ({ attempt, at, error }) => {
      const seconds = Math.max(0, Math.round((at.getTime() - Date.now()) / 100) / 10);
      output.note(`${error.message}; trying again in ${seconds} s`, {
        event: 'retry',
        attempt,
        at: at.toISOString(),
        code: error.code,
        message: error.message,
      });
    },
  };
}
