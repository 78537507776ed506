/** doctor: whether this machine can be found and reached, and where it is lost on the way to another. */
import { type Finding, fixOf } from '../../doctor/finding.ts';
import type { PathFinding } from '../../doctor/path.ts';
import { errorOf, LocalstreamError } from '../../errors.ts';
import { escapeText } from '../../protocol/text.ts';
import { defineCommand, optional } from '../command.ts';
import type { Context } from '../context.ts';
import { type PeerAddress, parsePeer } from '../peer-address.ts';
import { type Ways, waysTo } from '../reach.ts';
import { plural } from '../units.ts';

const LONGEST_TEXT = 1000;

export const doctor = defineCommand({
  name: 'doctor',
  aliases: [],
  group: 'shell',
  scope: 'both',
  summary: 'whether this machine can be found and reached, or what is in the way',
  notes: [
    'Looks at the settings, the state folder and its keys, disk, clock, Node and its AES, interfaces, multicast, the port, the firewall as far as it may be read, and the users; and moves a file from this machine to itself. Nothing is changed.',
    'With a peer: what its name stands for, which addresses answer and how fast, whose key answers there, and, where that key is trusted and lets this machine in, the round trip and the rate each way. Nobody becomes trusted by it.',
    'Each line is ok, warning or problem with what to do about it, or "can\'t tell", which counts for nothing. The status is 0 when all is well, 5 when there are warnings, 1 when there is a problem.',
  ],
  arguments: {
    peer: optional('HOST[:PORT] or a name: look at the way there instead', parsePeer, 'host'),
  },
  options: {},
  examples: [
    { line: 'doctor', does: 'looks at this machine' },
    { line: 'doctor nas:7353', does: 'resolves it, reaches it, looks at its key, and measures' },
  ],
  run: async (context, { arguments: { peer } }) => {
    const { globals, signal } = context;
    if (peer !== undefined) return await report(context, wayTo(context, peer));
    const { examine } = await import('../../doctor/examine.ts');
    await report(context, examine(globals.home, signal));
  },
});

/** The places of a peer, and then the way there. */
async function* wayTo(
  { workspace, signal }: Context,
  { host, port }: PeerAddress,
): AsyncGenerator<PathFinding> {
  const localstream = await workspace.localstream();
  const { examinePath, resolved } = await import('../../doctor/path.ts');
  let ways: Ways;
  try {
    ways = await waysTo(localstream, { host, port }, signal);
  } catch (error) {
    if (!(error instanceof LocalstreamError) || error.code !== 'NO_SUCH_HOST') throw error;
    yield { id: 'resolve', grade: 'problem', text: error.message, error, ...fixOf(error) };
    return;
  }
  const wanted = ways.ways.map((way) => ({ host: way.host, port: way.port ?? localstream.settings.port }));
  const { places, finding } = await resolved(host, wanted);
  yield finding;
  yield* examinePath(localstream, places, signal);
}

/** Shows each finding as it comes. Throws UNWELL, WARNED, or what is wrong with the way to a peer. */
async function report(context: Context, findings: AsyncIterable<PathFinding>): Promise<void> {
  const count = { ok: 0, warning: 0, problem: 0, unknown: 0 };
  let error: LocalstreamError | undefined;
  for await (const finding of findings) {
    count[finding.grade] += 1;
    error ??= finding.error;
    show(context, finding);
  }
  if (error !== undefined) throw error;
  const warnings = plural(count.warning, 'warning');
  if (count.problem > 0) {
    throw errorOf('UNWELL', `${plural(count.problem, 'problem')}, ${warnings}`, {
      hint: 'the lines above say what to do',
    });
  }
  if (count.warning > 0) throw errorOf('WARNED', `no problem, ${warnings}`);
}

const WORDS = { ok: 'ok', warning: 'warning', problem: 'problem', unknown: "can't tell" } as const;
const WIDEST = Math.max(...Object.values(WORDS).map(({ length }) => length));

function show({ output }: Context, finding: Finding): void {
  const { id, subject, grade, text, fix, bytesPerSecond, milliseconds } = finding;
  output.result(
    {
      event: 'check',
      id,
      subject: subject ?? null,
      grade,
      text,
      fix: fix ?? null,
      bytesPerSecond: bytesPerSecond ?? null,
      milliseconds: milliseconds ?? null,
    },
    () => {
      const { paint } = output.style;
      const colour = { ok: paint.good, warning: paint.warn, problem: paint.bad, unknown: paint.faint }[grade];
      const head = `${colour(WORDS[grade].padEnd(WIDEST))}  ${id}: ${escapeText(text, LONGEST_TEXT)}`;
      return fix === undefined ? head : `${head}\n${' '.repeat(WIDEST + 2)}${escapeText(fix, LONGEST_TEXT)}`;
    },
  );
}
