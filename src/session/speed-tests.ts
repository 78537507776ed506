/** Tests of the speed between two ends: one lane, bytes that nobody keeps, bounds of both sides. */
import type { TLSSocket } from 'node:tls';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Limiter } from '../net/limiter.ts';
import { drain, type Measured, pour, type SpeedBounds } from '../net/pour.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import type { MessageOf, Outgoing } from '../protocol/messages.ts';
import type { LaneGrants } from './lane-grants.ts';

/** Which way the bytes go, as the dialler sees it. */
export type SpeedDirection = 'up' | 'down';

/** What this machine allows a peer that asks now, and what is to be called when the test is over. */
export interface SpeedPermit extends SpeedBounds {
  readonly done: () => void;
}

/** Decides over a test that the peer wants. Throws NOT_ALLOWED, BUSY. */
export type SpeedHandler = () => SpeedPermit;

type SpeedMessage =
  | MessageOf<'speed'>
  | MessageOf<'speed-lane'>
  | MessageOf<'speed-result'>
  | MessageOf<'failed'>;

/** Milliseconds that the dialler has to open the lane. */
const PATIENCE = 10_000;

export interface SpeedTestsOptions {
  readonly send: (message: Outgoing) => void;
  /** The number of the next request, from the row of the listings. */
  readonly number: () => number;
  readonly grants: LaneGrants;
  /** The bound of the whole process. */
  readonly limiter: Limiter | undefined;
  /** Absent: nobody may test here. */
  readonly handler: SpeedHandler | undefined;
  /** The dialler's way to open a lane; absent at the listener. */
  readonly openLane: ((number: number) => Promise<TLSSocket>) | undefined;
  /** Whether the peer knows these messages. */
  readonly isUnderstood: boolean;
}

interface Asked {
  readonly lane: PromiseWithResolvers<MessageOf<'speed-lane'>>;
  readonly result: PromiseWithResolvers<Measured>;
}

interface Awaited {
  readonly addLane: (socket: TLSSocket) => void;
  readonly end: () => void;
}

export class SpeedTests {
  readonly #options: SpeedTestsOptions;
  readonly #asked = new Map<number, Asked>();
  /** Tests that were granted to the peer, by what their lane is granted for. */
  readonly #granted = new Map<string, Awaited>();
  #over: LocalstreamError | undefined;

  constructor(options: SpeedTestsOptions) {
    this.#options = options;
  }

  /**
   * Tests one direction. The dialler's.
   *
   * @throws NOT_SUPPORTED where the peer can't, NOT_ALLOWED where it does not let us, BUSY, CANCELLED, or why the session
   *   is over.
   */
  async ask(
    direction: SpeedDirection,
    bounds: SpeedBounds,
    signal: AbortSignal | undefined,
  ): Promise<Measured> {
    if (this.#over) throw this.#over;
    if (signal?.aborted) throw errorOf('CANCELLED');
    const { isUnderstood, openLane, number, send } = this.#options;
    if (!isUnderstood || !openLane)
      throw errorOf('NOT_SUPPORTED', 'the server is an older one, which can not be tested', {
        hint: 'update localstream there',
      });
    const request = number();
    const asked: Asked = { lane: Promise.withResolvers(), result: Promise.withResolvers() };
    const fail = (error: LocalstreamError) => {
      asked.lane.reject(error);
      asked.result.reject(error);
    };
    // Which of them is waited for depends on how far it has come.
    asked.lane.promise.catch(() => {});
    asked.result.promise.catch(() => {});
    this.#asked.set(request, asked);
    let socket: TLSSocket | undefined;
    const stop = () => {
      fail(errorOf('CANCELLED'));
      socket?.destroy();
    };
    signal?.addEventListener('abort', stop, { once: true });
    try {
      send({ type: 'speed', request, direction, ...bounds });
      const granted = await asked.lane.promise;
      const agreed = narrower(bounds, granted);
      socket = await openLane(granted.lane);
      if (signal?.aborted) stop();
      if (direction === 'down') {
        const measured = await drain(socket, agreed, this.#options.limiter);
        if (signal?.aborted) throw errorOf('CANCELLED');
        return measured;
      }
      await pour(socket, agreed, this.#options.limiter);
      return await within(asked.result.promise, PATIENCE);
    } finally {
      socket?.destroy();
      this.#asked.delete(request);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Takes a message about tests. Answers to what was given up here are passed over. */
  take(message: SpeedMessage): void {
    if (message.type === 'speed') {
      this.#serve(message);
      return;
    }
    const asked = this.#asked.get(message.request);
    if (message.type === 'speed-lane') asked?.lane.resolve(message);
    else if (message.type === 'speed-result') asked?.result.resolve(message);
    else {
      const error = errorFromPeer(message.flag, message.detail);
      asked?.lane.reject(error);
      asked?.result.reject(error);
    }
  }

  /** The test that a lane was granted for. */
  get(purpose: string): Awaited | undefined {
    return this.#granted.get(purpose);
  }

  /** The session is over. */
  end(reason: LocalstreamError): void {
    this.#over = reason;
    for (const { lane, result } of this.#asked.values()) {
      lane.reject(reason);
      result.reject(reason);
    }
    for (const awaited of [...this.#granted.values()]) awaited.end();
  }

  #serve(message: MessageOf<'speed'>): void {
    const { handler } = this.#options;
    try {
      if (!handler) throw errorOf('NOT_SUPPORTED', 'only a listener can be tested');
      this.#grant(message, handler());
    } catch (error) {
      this.#sendQuietly({
        type: 'failed',
        request: message.request,
        flag: flagNumber(flagOfError(error)),
        detail: error instanceof LocalstreamError ? error.message.slice(0, 500) : undefined,
      });
    }
  }

  /** Grants one lane, and one test on it. */
  #grant({ request, direction, ...wanted }: MessageOf<'speed'>, permit: SpeedPermit): void {
    const { grants } = this.#options;
    const bounds = narrower(wanted, permit);
    const purpose = `speed ${request}`;
    const end = () => {
      clearTimeout(late);
      if (!this.#granted.delete(purpose)) return;
      grants.forget(purpose);
      permit.done();
    };
    const late = setTimeout(end, PATIENCE).unref();
    const addLane = (socket: TLSSocket) => {
      clearTimeout(late);
      const stop = () => {
        socket.destroy();
        end();
      };
      this.#granted.set(purpose, { addLane: (another) => another.destroy(), end: stop });
      void this.#run(socket, request, direction, bounds).finally(end);
    };
    this.#granted.set(purpose, { addLane, end });
    const [lane = 0] = grants.grant(purpose, 1);
    this.#sendQuietly({ type: 'speed-lane', request, lane, ...bounds });
  }

  async #run(
    socket: TLSSocket,
    request: number,
    direction: SpeedDirection,
    bounds: SpeedBounds,
  ): Promise<void> {
    if (direction === 'down') {
      await pour(socket, bounds, this.#options.limiter);
      return;
    }
    const measured = await drain(socket, bounds, this.#options.limiter);
    this.#sendQuietly({ type: 'speed-result', request, ...measured });
  }

  #sendQuietly(message: Outgoing): void {
    try {
      this.#options.send(message);
    } catch {
      // The session has ended.
    }
  }
}

/** What both sides allow. */
function narrower(one: SpeedBounds, other: SpeedBounds): SpeedBounds {
  return {
    bytes: Math.min(one.bytes, other.bytes),
    milliseconds: Math.min(one.milliseconds, other.milliseconds),
  };
}

async function within<Value>(promise: Promise<Value>, milliseconds: number): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(errorOf('TIMEOUT', 'the server did not tell what arrived')),
    milliseconds,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
