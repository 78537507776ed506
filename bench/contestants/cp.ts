import { join } from 'node:path';
import type { Contestant } from '../contestant.ts';

/** A copy on one machine: what no network tool can reach. */
export const cp: Contestant = {
  name: 'cp',
  programs: ['cp'],
  packages: [],
  async start({ shared, inbox, outbox }) {
    const commands = {
      get: [join(shared, 'big'), outbox],
      put: [join(shared, 'big'), inbox],
      small: ['-r', join(shared, 'tree'), outbox],
      start: [join(shared, 'tiny'), outbox],
    };
    return {
      serverPid: undefined,
      command: (task) => (task === 'version' ? undefined : ['cp', ...commands[task]]),
      [Symbol.asyncDispose]: async () => {},
    };
  },
};
