import type { Contestant } from '../contestant.ts';

/** Node.js with nothing to do: the least that a start can cost. */
export const node: Contestant = {
  name: 'node -e 0',
  programs: [],
  packages: [],
  async start() {
    return {
      serverPid: undefined,
      command: (task) => (task === 'version' ? [process.execPath, '-e', '0'] : undefined),
      [Symbol.asyncDispose]: async () => {},
    };
  },
};
