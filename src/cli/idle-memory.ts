/** What starting has taken and waiting does not need goes back to the system. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Milliseconds after which the start is over, and whoever wants something at once has come. */
const SETTLED = 10_000;

let isPlanned = false;

/**
 * Collects garbage once, a while after the first listener is open. V8 does so when it needs room; a server that only waits
 * never does, and would hold on to half of what loading the program took.
 *
 * @param isBusy Whether somebody is served just now, who would notice the pause.
 */
export function giveBackMemory(isBusy: () => boolean): void {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    if (isBusy()) return;
    // There is no other way to ask for it in a process that was started without the flag.
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    setFlagsFromString('--no-expose-gc');
    if (typeof collect === 'function') collect({ type: 'major', flavor: 'last-resort' });
  }, SETTLED).unref();
}
