import { basename, resolve } from 'node:path';

type NamedRoot =
  | { readonly kind: 'named'; readonly path: string }
  | { readonly kind: 'below' | 'stream' | 'text'; readonly name: string };

/** The name under which a root of a transfer is offered. */
export function rootNameOf(root: NamedRoot): string {
  return root.kind === 'named' ? basename(resolve(root.path)) : root.name;
}
