// Joins the program (`bundle.ts`) after `npm ci`. Where the tools are left out (`--omit=dev`), the sources run. So is the
// pinned Node then: plain JavaScript, so that an older one gets as far as the launcher, which says what is wrong.
import { existsSync } from 'node:fs';

if (existsSync(new URL('../node_modules/esbuild', import.meta.url))) await import('./bundle.ts');
