/**
 * Both ends of a transfer in one process that kills itself, from another thread, at whatever it is doing by then.
 * Notes the file bytes of each frame that it has sent.
 */
import { openSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { HEADER_BYTES, maxPayload, readHeader } from '../../src/protocol/frame.ts';
import { fileBytes, transfer } from './engine-run.ts';

const KILLER = `
  const { workerData } = require('node:worker_threads');
  const clock = new Int32Array(workerData.clock);
  Atomics.wait(clock, 0, 0);
  Atomics.wait(clock, 1, 0, workerData.milliseconds);
  process.kill(process.pid, 'SIGKILL');
`;

const [source = '', target = '', notes = '', seed = '0', milliseconds = '0'] = process.argv.slice(2);
const noted = openSync(notes, 'a');
const chunk = 16_384;
const clock = new SharedArrayBuffer(8);
if (milliseconds !== '0')
  new Worker(KILLER, { eval: true, workerData: { clock, milliseconds: Number(milliseconds) } }).unref();

const run = transfer({
  sources: [source],
  target,
  chunk,
  seed: Number(seed),
  onFrame: (frame, to, count) => {
    if (count === 1) {
      Atomics.store(new Int32Array(clock), 0, 1);
      Atomics.notify(new Int32Array(clock), 0);
    }
    const isData = to === 'receiver' && frame.length > HEADER_BYTES;
    writeSync(noted, `${isData ? fileBytes(frame, readHeader(frame, maxPayload(chunk))) : 0}\n`);
    return undefined;
  },
});
process.exitCode = run.finished ? 0 : 1;
