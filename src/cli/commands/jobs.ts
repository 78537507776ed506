/** jobs, wait, cancel, fg: transfers in the background. */
import { errorOf } from '../../errors.ts';
import { escapeText } from '../../protocol/text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import { type Job, jobEvent } from '../jobs.ts';
import { percentOf } from '../rate.ts';
import { formatBytes, formatTime } from '../units.ts';
import { parseJobNumber } from '../values.ts';

const LONGEST_LINE = 200;

export const jobs = defineCommand({
  name: 'jobs',
  aliases: [],
  group: 'move',
  scope: 'shell',
  summary: 'the transfers in the background, and how far they are',
  notes: ['An & at the end of get, put, receive_file or send_file makes a job of it.'],
  arguments: {},
  options: {},
  examples: [{ line: 'jobs', does: 'lists those that run and those that are over' }],
  run: async ({ workspace, output }) => {
    const { all } = workspace.jobs;
    const lines = output.json ? [] : await alignColumns(all.map(jobRow));
    for (const [index, job] of all.entries()) output.result(jobEvent(job), lines[index] ?? '');
  },
});

function jobRow(job: Job): string[] {
  const { number, state, line, startedAt, transfers } = job;
  const far = [...transfers.values()].map((progress) => {
    const percent = percentOf(progress);
    const sizes = `${formatBytes(progress.bytes)} of ${formatBytes(progress.bytesTotal)}`;
    return percent === undefined ? progress.phase : `${percent} % (${sizes})`;
  });
  return [
    `job ${number}`,
    state,
    state === 'running' ? far.join(', ') || 'starting' : '-',
    formatTime(startedAt),
    escapeText(line, LONGEST_LINE),
  ];
}

const jobNumber = optional('the number of a job', parseJobNumber, 'job');

export const wait = defineCommand({
  name: 'wait',
  aliases: [],
  group: 'move',
  scope: 'shell',
  summary: 'wait for a job, or for all of them',
  notes: ['Fails as the job fails. Ctrl-C stops the waiting, not the job.'],
  arguments: { job: jobNumber },
  options: {},
  examples: [{ line: 'wait', does: 'goes on when every job is over' }],
  run: async (context, { arguments: { job: number } }) => {
    const { jobs: known } = context.workspace;
    const chosen = number === undefined ? known.all.filter((job) => !job.isCollected) : [known.find(number)];
    await watched(context, chosen, () => {});
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
  run: async (context, { arguments: { job: number } }) => {
    const { jobs: known } = context.workspace;
    const job = number === undefined ? known.running.at(-1) : known.find(number);
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
  scope: 'shell',
  summary: 'end a job',
  notes: ['What has arrived is kept, and the same command goes on from there, unless --discard is given.'],
  arguments: { job: required('the number of the job', parseJobNumber, 'job') },
  options: { discard: flag('remove what has arrived of unfinished files') },
  examples: [{ line: 'cancel 1', does: 'ends that job' }],
  run: async ({ workspace, output }, { arguments: { job: number }, options: { discard } }) => {
    const job = workspace.jobs.find(number);
    if (job.state !== 'running') {
      throw errorOf('USAGE', `job ${number} is over`, { hint: 'see "jobs"' });
    }
    job.isCollected = true;
    job.cancel(discard);
    const { error } = await job.ended;
    const text = error?.code === 'CANCELLED' ? 'is cancelled' : 'was over before it could be cancelled';
    output.result(jobEvent(job), `job ${number} ${text}`);
  },
});
