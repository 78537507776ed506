import { join } from 'node:path';
import type { Contestant, Task } from '../contestant.ts';

/** A copy on one machine: what no network tool can reach. */
export const cp: Contestant = {
  name: 'cp',
  programs: ['cp'],
  packages: [],
  async start({ shared, inbox, outbox }) {
    const commands: Partial<Record<Task, string[]>> = {
      get: [join(shared, 'big'), outbox],
      put: [join(shared, 'big'), inbox],
      tree: ['-r', join(shared, 'tree'), outbox],
      mixed: ['-r', join(shared, 'mixed'), outbox],
      start: [join(shared, 'tiny'), outbox],
    };
    return {
      serverPid: undefined,
      command: (task) => commands[task] && ['cp', ...commands[task]],
      [Symbol.asyncDispose]: async () => {},
    };
  },
};
