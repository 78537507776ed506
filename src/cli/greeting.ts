/** What the shell at a terminal says when it opens. */
import type { Door } from './door.ts';

/** At once, before anything is opened. */
export function greeting(version: string): string[] {
  return [`localstream ${version}: help lists the commands, exit leaves`];
}

/** Once it is known whether others can reach this machine. */
export function doorText(door: Door): string {
  switch (door.kind) {
    case 'off':
      return 'nobody can reach this machine (shell.listen is off): add_connection opens a port';
    case 'shut':
      return `nobody can reach this machine, as no port could be opened: ${door.reason}`;
    case 'open': {
      const { name, listener, isKnown } = door;
      const who = isKnown
        ? `others find this machine as ${name} on port ${listener.port}`
        : `others reach this machine on port ${listener.port}, and it is on no list of names`;
      return `${who}: nothing is shared, and you are asked about each newcomer`;
    }
  }
}
