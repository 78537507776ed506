/** completion: what makes Tab work in bash, zsh and fish, and what their scripts ask for. */
import { resolveHome } from '../../store/home.ts';
import { defineCommand, required } from '../command.ts';
import type { Context } from '../context.ts';
import { typedName } from '../reach.ts';
import { oneOf } from '../values.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const WORDS = ['peer', 'port'] as const;
type Wanted = (typeof SHELLS)[number] | (typeof WORDS)[number];

export const completion = defineCommand({
  name: 'completion',
  aliases: [],
  group: 'shell',
  scope: 'once',
  summary: 'what makes Tab complete in bash, zsh or fish',
  notes: [
    'Prints a script of that shell, made from the commands of this version. With peer or port it prints the names or the ports ' +
      'that the scripts offer: those are asked for at each Tab, open nothing and make nothing.',
  ],
  arguments: {
    shell: required(
      'bash, zsh or fish; peer or port',
      oneOf<Wanted>('a shell', [...SHELLS, ...WORDS]),
      SHELLS,
    ),
  },
  options: {},
  examples: [
    { line: 'completion fish', does: 'belongs into ~/.config/fish/completions/localstream.fish' },
    { line: 'completion bash', does: 'is read by source <(localstream completion bash)' },
  ],
  run: async (context, { arguments: { shell } }) => {
    const { output } = context;
    const lines = await linesOf(context, shell);
    if (output.json) output.event({ event: 'completion', for: shell, lines });
    else if (lines.length > 0) output.screen.out(`${lines.join('\n')}\n`);
  },
});

async function linesOf(context: Context, wanted: Wanted): Promise<string[]> {
  if (wanted === 'peer') return await peerNames(context);
  if (wanted === 'port') return await (await import('../completion/ports.ts')).portsFor(context);
  return (await context.completion(wanted)).trimEnd().split('\n');
}

/** Without opening the home: a first Tab makes no keys, and one into a broken home moves no file. */
async function peerNames({ globals }: Context): Promise<string[]> {
  const { TrustStore } = await import('../../store/trust-store.ts');
  const peers = await new TrustStore(resolveHome(process.env, globals.home), undefined, 'refuse').list();
  return peers.map(({ name }) => typedName(name)).filter((name) => name !== '');
}
