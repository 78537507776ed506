/** The thread that does the file work of transfers: walk, read, hash, write, commit. Synchronous file calls only. */
import { parentPort } from 'node:worker_threads';
import { errorOf, LocalstreamError } from '../errors.ts';
import { HEADER_BYTES, maxPayload, readHeader } from '../protocol/frame.ts';
import { MAX_TEXT } from '../protocol/limits.ts';
import type { Settled } from './progress.ts';
import { Receiver } from './receiver.ts';
import type { Sealing, SealSpec } from './sealed-source.ts';
import { Sender } from './sender.ts';
import { SharedSource } from './shared-source.ts';
import { openSourceTree, type SourceHandle } from './source.ts';
import { STANDARD_OUTPUT, StreamTarget, toDescriptor } from './stream.ts';
import { TargetTree } from './target.ts';
import { TextSink } from './text-source.ts';
import {
  type FromWorker,
  SharedCounters,
  type SharedPlan,
  slotBytes,
  type ToWorker,
} from './worker-messages.ts';

/** How often the name of the file under way is told, in milliseconds. */
const CURRENT_EVERY = 200;

type Body<Message> = Message extends unknown ? Omit<Message, 'transfer'> : never;

interface End {
  take(message: ToWorker): void;
  /** Does a part of what waits. True: there is more. */
  work(): boolean;
  close(discard: boolean): void;
}

const port = parentPort;
if (!port) throw new Error('the transfer worker is started by the pool');
const ends = new Map<number, End>();
let scheduled = false;

function post(transfer: number, body: Body<FromWorker>): void {
  port?.postMessage({ transfer, ...body });
}

/** Transfers of the same files to several receivers. */
interface Group {
  readonly number: number;
  readonly source: SharedSource<SourceHandle>;
  members: number;
}
const groups = new Map<number, Group>();

function joinGroup(number: number): Group {
  const group = groups.get(number) ?? {
    number,
    source: new SharedSource(({ path }) => path.join('/')),
    members: 0,
  };
  groups.set(number, group);
  group.members += 1;
  return group;
}

function leaveGroup(group: Group): void {
  group.members -= 1;
  if (group.members === 0) groups.delete(group.number);
}

/** Tells the name of the file under way, now and then. */
function currentTeller(transfer: number): (path: string | undefined) => void {
  let told: string | undefined;
  let at = 0;
  return (path) => {
    if (path === undefined || path === told || performance.now() - at < CURRENT_EVERY) return;
    told = path;
    at = performance.now();
    post(transfer, { kind: 'current', path });
  };
}

class SourceEnd implements End {
  readonly #transfer: number;
  readonly #plan: SharedPlan;
  readonly #limit: number;
  readonly #tree: ReturnType<typeof openSourceTree>;
  readonly #group: Group | undefined;
  readonly #sender: Sender<SourceHandle>;
  readonly #free: number[] = [];
  readonly #tell: (path: string | undefined) => void;
  #finished = false;

  constructor(message: Extract<ToWorker, { kind: 'source' }>, sealing: Sealing | undefined) {
    this.#transfer = message.transfer;
    this.#plan = message.plan;
    this.#limit = maxPayload(message.chunk);
    this.#tell = currentTeller(message.transfer);
    for (let slot = 0; slot < message.plan.slots; slot += 1) this.#free.push(slot);
    const { rules, follow } = message;
    const counters = new SharedCounters(message.plan);
    this.#tree = openSourceTree(message.roots, { rules, follow, sealing, aborted: () => counters.aborted });
    this.#group = message.group === undefined ? undefined : joinGroup(message.group);
    this.#sender = new Sender(this.#group?.source.share(this.#tree) ?? this.#tree, {
      chunk: message.chunk,
      counters,
      settled: (rows) => post(message.transfer, { kind: 'settled', rows }),
    });
  }

  take(message: ToWorker): void {
    if (message.kind === 'slot') this.#free.push(message.slot);
    if (message.kind !== 'answer') return;
    const frame = Buffer.from(message.frame.buffer, message.frame.byteOffset, message.frame.byteLength);
    const header = readHeader(frame, this.#limit);
    this.#sender.receive(header, frame.subarray(HEADER_BYTES, HEADER_BYTES + header.length));
    post(this.#transfer, { kind: 'taken' });
  }

  work(): boolean {
    const slot = this.#free[0];
    if (slot === undefined || this.#finished) return false;
    const produced = this.#sender.next(slotBytes(this.#plan, slot));
    this.#tell(this.#sender.current);
    if (produced === 'wait') return false;
    if (produced === 'again') return true;
    if (produced === 'finished') {
      this.#finished = true;
      const { manifestDigest, outcomeDigest } = this.#sender;
      post(this.#transfer, { kind: 'finished', manifestDigest, outcomeDigest });
      return false;
    }
    this.#free.shift();
    post(this.#transfer, { kind: 'frame', slot, length: produced });
    return this.#free.length > 0;
  }

  close(): void {
    this.#sender.close();
    this.#tree[Symbol.dispose]();
    if (this.#group) leaveGroup(this.#group);
  }
}

class TargetEnd implements End {
  readonly #transfer: number;
  readonly #plan: SharedPlan;
  readonly #limit: number;
  readonly #store: TargetTree | StreamTarget;
  readonly #receiver: Pick<
    Receiver<unknown>,
    'receive' | 'step' | 'abort' | 'finished' | 'current' | 'manifestDigest' | 'outcomeDigest'
  >;
  readonly #tell: (path: string | undefined) => void;
  readonly #text: TextSink | undefined;

  constructor(message: Extract<ToWorker, { kind: 'target' }>) {
    const { transfer, plan, chunk, existing } = message;
    this.#transfer = transfer;
    this.#plan = plan;
    this.#limit = maxPayload(chunk);
    this.#tell = currentTeller(transfer);
    const counters = new SharedCounters(plan);
    const { place } = message;
    const options = {
      existing,
      blind: place.blind,
      dryRun: place.dryRun,
      trustMtime: place.trustMtime,
      verify: place.verify,
      chunk,
      counters,
      emit: (frame: Buffer) => post(transfer, { kind: 'emit', frame }),
      settled: (rows: Settled[]) => post(transfer, { kind: 'settled', rows }),
      aborted: () => counters.aborted,
    };
    if (place.stream !== false) {
      const text = place.stream === 'memory' ? new TextSink(MAX_TEXT) : undefined;
      const sink = text ?? toDescriptor(STANDARD_OUTPUT, options.aborted);
      const target = new StreamTarget(sink, place.names[0]?.[0] ?? '');
      this.#text = text;
      this.#store = target;
      this.#receiver = new Receiver(target, options);
    } else {
      const tree = new TargetTree(place);
      this.#store = tree;
      this.#receiver = new Receiver(tree, options);
    }
  }

  take(message: ToWorker): void {
    if (message.kind !== 'frame') return;
    const bytes = slotBytes(this.#plan, message.slot);
    const header = readHeader(bytes, this.#limit);
    this.#receiver.receive(header, bytes.subarray(HEADER_BYTES, HEADER_BYTES + header.length));
    post(this.#transfer, { kind: 'slot', slot: message.slot });
    this.#tell(this.#receiver.current);
    if (!this.#receiver.finished) return;
    this.#store.finish();
    if (this.#text) post(this.#transfer, { kind: 'text', bytes: this.#text.bytes });
    const { manifestDigest, outcomeDigest } = this.#receiver;
    post(this.#transfer, { kind: 'finished', manifestDigest, outcomeDigest });
  }

  work(): boolean {
    return this.#receiver.step();
  }

  close(discard: boolean): void {
    if (!this.#receiver.finished) this.#receiver.abort(discard);
    this.#store.close();
  }
}

/** A failure of the whole transfer: the main thread ends it. */
function fail(transfer: number, error: unknown): void {
  const typed =
    error instanceof LocalstreamError ? error : errorOf('INTERNAL', 'the transfer failed', { cause: error });
  const cause = typed.cause instanceof Error ? (typed.cause.stack ?? typed.cause.message) : '';
  post(transfer, { kind: 'failed', code: typed.code, message: typed.message, detail: cause });
}

function guarded<Result>(transfer: number, run: () => Result, otherwise: Result): Result {
  try {
    return run();
  } catch (error) {
    fail(transfer, error);
    // What it held is put away by `end`, which always follows.
    return otherwise;
  }
}

/** Works for each end in turn, and lets messages in between. */
function workAll(): void {
  scheduled = false;
  let more = false;
  for (const [transfer, end] of ends) more = guarded(transfer, () => end.work(), false) || more;
  if (more) schedule();
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(workAll);
}

function open(message: ToWorker, sealing: Sealing | undefined): End | undefined {
  if (message.kind === 'source') return new SourceEnd(message, sealing);
  if (message.kind === 'target') return new TargetEnd(message);
  return undefined;
}

/** What is said of transfers whose sealing is still being loaded: most seal nothing, and start without it. */
const held = new Map<number, ToWorker[]>();

async function openSealed(transfer: number, seal: SealSpec, messages: readonly ToWorker[]): Promise<void> {
  const { sealingFor } = await import('./sealed-source.ts');
  held.delete(transfer);
  const sealing = sealingFor(seal);
  for (const message of messages) take(message, sealing);
}

function take(message: ToWorker, sealing?: Sealing): void {
  const { transfer } = message;
  if (message.kind === 'end') {
    const end = ends.get(transfer);
    ends.delete(transfer);
    guarded(transfer, () => end?.close(message.discard), undefined);
    post(transfer, { kind: 'closed' });
    return;
  }
  const end = ends.get(transfer) ?? guarded(transfer, () => open(message, sealing), undefined);
  if (!end) return;
  ends.set(transfer, end);
  guarded(transfer, () => end.take(message), undefined);
  schedule();
}

port.on('message', (message: ToWorker) => {
  const { transfer } = message;
  const earlier = held.get(transfer);
  if (earlier) earlier.push(message);
  else if (message.kind === 'source' && message.seal) {
    const messages = [message];
    held.set(transfer, messages);
    void openSealed(transfer, message.seal, messages);
  } else take(message);
});
