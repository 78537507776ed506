/** Who may do what with a share: the one table that decides. The default is nothing. */

/** How a share is open: to read, to read and write, or to drop things into without seeing what is there. */
export type ShareMode = 'ro' | 'rw' | 'wo';
/** What a peer can ask for. */
export type Verb = 'list' | 'get' | 'put';

const ALLOWED: Record<ShareMode, readonly Verb[]> = {
  ro: ['list', 'get'],
  rw: ['list', 'get', 'put'],
  wo: ['put'],
};

/** Whether a share of this mode allows a verb. */
export function allows(mode: ShareMode, verb: Verb): boolean {
  return ALLOWED[mode].includes(verb);
}
