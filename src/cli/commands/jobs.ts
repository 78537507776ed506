/** jobs, wait, cancel, fg: transfers in the background. */
import { errorOf } from '../../errors.ts';
import { formatBytes } from '../../protocol/size-text.ts';
import { escapeText } from '../../protocol/text.ts';
import { peerLabel, phaseText } from '../bar-line.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import { runInServer } from '../dispatch.ts';
import { type Job, jobEvent } from '../jobs.ts';
import { percentOf } from '../rate.ts';
import { formatTime } from '../units.ts';
import { parseJob } from '../values.ts';

const LONGEST_LINE = 200;

export const jobs = defineCommand({
  name: 'jobs',
  aliases: [],
  group: 'move',
  scope: 'both',
  server: { once: 'needed', shell: false },
  summary: 'the transfers in the background, and how far they are',
  notes: [
    'An & at the end of get, put, send, accept, receive_file or send_file makes a job of it. What the server of the home sends is a job ' +
      'of its own (s1), whoever asked for it.',
  ],
  arguments: {},
  options: {},
  examples: [{ line: 'jobs', does: 'lists those that run and those that are over' }],
  run: async ({ workspace, output, forward }) => {
    const { all } = workspace.jobs;
    const lines = output.json ? [] : await alignColumns(all.map(jobRow));
    for (const [index, job] of all.entries()) output.result(jobEvent(job), lines[index] ?? '');
    await forward?.(['jobs']);
  },
});

function jobRow(job: Job): string[] {
  const { name, state, line, startedAt, transfers } = job;
  const far = [...transfers.values()].map((progress) => {
    const whose = transfers.size > 1 ? peerLabel(progress) : '';
    const percent = percentOf(progress);
    const waits = phaseText(progress);
    if (percent === undefined) return `${whose}${waits || progress.phase}`;
    const sizes = `${formatBytes(progress.bytes)} of ${formatBytes(progress.bytesTotal)}`;
    return `${whose}${percent} % (${sizes})${waits && `, ${waits}`}`;
  });
  return [
    `job ${name}`,
    state,
    state === 'running' ? far.join(', ') || 'starting' : '-',
    formatTime(startedAt),
    escapeText(line, LONGEST_LINE),
  ];
}

const jobNumber = optional('the number of a job', parseJob, 'job');

export const wait = defineCommand({
  name: 'wait',
  aliases: [],
  group: 'move',
  scope: 'both',
  server: { once: 'needed', shell: false },
  summary: 'wait for a job, or for all of them',
  notes: ['Fails as the job fails. Ctrl-C stops the waiting, not the job.'],
  arguments: { job: jobNumber },
  options: {},
  examples: [{ line: 'wait', does: 'goes on when every job is over' }],
  run: async (context, { arguments: { job: wanted } }) => {
    const {
      jobs: known,
      jobs: { isServers },
    } = context.workspace;
    if (wanted?.isServers && !isServers) return await runInServer(context);
    // What somebody else waits for is not over yet, either.
    const unknown = known.all.filter((job) => !job.isCollected || (isServers && job.state === 'running'));
    await watched(context, wanted === undefined ? unknown : [known.find(wanted.number)], () => {});
  },
});

export const fg = defineCommand({
  name: 'fg',
  aliases: [],
  group: 'move',
  scope: 'shell',
  summary: 'bring a job to the foreground',
  notes: ['The latest one that runs unless given. From then on Ctrl-C ends it.'],
  arguments: { job: jobNumber },
  options: {},
  examples: [{ line: 'fg 1', does: 'shows its bar until it is over' }],
  run: async (context, { arguments: { job: wanted } }) => {
    const { jobs: known } = context.workspace;
    if (wanted?.isServers)
      throw errorOf('USAGE', `job s${wanted.number} is the server's`, {
        hint: `wait s${wanted.number} shows its bar`,
      });
    const job = wanted === undefined ? known.running.at(-1) : known.find(wanted.number);
    if (job === undefined) throw errorOf('USAGE', 'no job is running', { hint: 'see "jobs"' });
    await watched(context, [job], () => job.cancel());
  },
});

/** Shows the bars of jobs until all are over, and fails as the first of them that failed. */
async function watched(
  { signal, progress }: Context,
  jobs: readonly Job[],
  onAbort: () => void,
): Promise<void> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<'aborted'>();
  const abort = () => aborted.resolve('aborted');
  signal.addEventListener('abort', abort, { once: true });
  {
    using shown = progress();
    const watches = jobs.map((job) => job.watch(shown));
    const ended = Promise.all(jobs.map((job) => job.ended));
    if ((await Promise.race([ended, aborted.promise])) === 'aborted') {
      onAbort();
      // One that was only waited for goes on.
      if (jobs.every((job) => job.isCancelled)) await ended;
    }
    for (const watch of watches) watch[Symbol.dispose]();
  }
  signal.removeEventListener('abort', abort);
  const over = jobs.filter(({ ending }) => ending !== undefined);
  for (const job of over) job.isCollected = true;
  signal.throwIfAborted();
  for (const { ending } of over) if (ending?.error !== undefined) throw ending.error;
}

export const cancel = defineCommand({
  name: 'cancel',
  aliases: [],
  group: 'move',
  scope: 'both',
  server: { once: 'needed', shell: false },
  summary: 'end a job',
  notes: ['What has arrived is kept, and the same command goes on from there, unless --discard is given.'],
  arguments: { job: required('the number of the job', parseJob, 'job') },
  options: { discard: flag('remove what has arrived of unfinished files') },
  examples: [{ line: 'cancel 1', does: 'ends that job' }],
  run: async (context, { arguments: { job: wanted }, options: { discard } }) => {
    const { workspace, output } = context;
    if (wanted.isServers && !workspace.jobs.isServers) return await runInServer(context);
    const job = workspace.jobs.find(wanted.number);
    if (job.state !== 'running') {
      throw errorOf('USAGE', `job ${job.name} is over`, { hint: 'see "jobs"' });
    }
    job.isCollected = true;
    job.cancel(discard);
    const { error } = await job.ended;
    const text = error?.code === 'CANCELLED' ? 'is cancelled' : 'was over before it could be cancelled';
    output.result(jobEvent(job), `job ${job.name} ${text}`);
  },
});
