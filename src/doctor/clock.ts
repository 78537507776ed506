/** Whether the clock can be right. Receipts, histories and the times of files have its hour. */
import { stat } from 'node:fs/promises';
import type { Finding, Surroundings } from './finding.ts';
import { runTool } from './tool.ts';

/** This program did not exist before. */
const EARLIEST = Date.UTC(2026, 0, 1);
/** What was written by this clock can't be newer than now, but for a correction. */
const CORRECTION = 86_400_000;

export async function clock({ home, signal }: Surroundings): Promise<readonly Finding[]> {
  const now = Date.now();
  const hour = new Date(now).toISOString().replace(/\.\d+/, '');
  const fix = 'set the clock, or have it set by the network (NTP)';
  if (now < EARLIEST) {
    return [{ id: 'clock', grade: 'problem', text: `it says ${hour}, which can't be`, fix }];
  }
  for (const path of [home.identityFile, home.trustFile, home.sessionsFile]) {
    const written = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    if (written > now + CORRECTION) {
      const text = `it says ${hour}, but ${path} was written at ${new Date(written).toISOString()}`;
      return [{ id: 'clock', grade: 'warning', text, fix }];
    }
  }
  const synchronised = process.platform === 'linux' ? await isSynchronised(signal) : undefined;
  if (synchronised === false) {
    return [
      {
        id: 'clock',
        grade: 'warning',
        text: `it says ${hour} and is not set by the network`,
        fix: 'timedatectl set-ntp true',
      },
    ];
  }
  const how = synchronised ? 'set by the network' : 'whether the network sets it can not be told';
  return [{ id: 'clock', grade: 'ok', text: `it says ${hour}; ${how}` }];
}

async function isSynchronised(signal: AbortSignal): Promise<boolean | undefined> {
  const ran = await runTool('timedatectl', ['show', '--property=NTPSynchronized', '--value'], signal);
  if (ran.outcome !== 'ended' || ran.status !== 0) return undefined;
  const answer = ran.output.trim();
  return answer === 'yes' ? true : answer === 'no' ? false : undefined;
}
