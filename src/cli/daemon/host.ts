/**
 * The server of a home: whatever process has its lock and serves its socket, so that every other terminal and script of
 * this user can speak to its listeners.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { errorOf } from '../../errors.ts';
import type { Home } from '../../store/home.ts';
import { holdServerLock } from '../../store/server-lock.ts';
import type { Asker } from '../asker.ts';
import type { Globals, ServerHost } from '../context.ts';
import type { OutputEvent } from '../events.ts';
import { tellJob } from '../jobs.ts';
import { Output } from '../output.ts';
import { inboxAsker, offerQuestion, pendingAsker, questionText } from '../pending-asker.ts';
import type { Workspace } from '../workspace.ts';
import { failureOf, MOST_REQUEST_BYTES, type News, readLines, readRequest, sendLine } from './messages.ts';
import { listenAt, socketPath } from './socket.ts';
import { type Served, Visitor } from './visitor.ts';

/** Connections at once. */
const MOST_VISITORS = 64;
/** Milliseconds that one may take to say what it wants. */
const PATIENCE = 10_000;
/** Bytes that may wait for somebody who watches and does not read. */
const MOST_UNREAD = 1024 * 1024;

/** What a server is made of. */
export interface HostOptions {
  readonly home: Home;
  readonly workspace: Workspace;
  readonly globals: Globals;
  /** For what happens by itself. */
  readonly output: Output;
  /** Who is asked about strangers; by number, from other terminals, where `ask` is set. */
  readonly asker: Asker;
  readonly ask: boolean;
}

export class Host implements ServerHost, Served {
  /** As given, and told to all who watch. */
  readonly output: Output;
  readonly asker: Asker;
  readonly #ending = new AbortController();
  readonly workspace: Workspace;
  readonly globals: Globals;
  readonly #home: Home;
  readonly #lock: Disposable;
  readonly #server: Server;
  readonly #visitors = new Set<Visitor>();
  readonly #watchers = new Set<Socket>();
  readonly #sockets = new Set<Socket>();
  /** Those that have not said what they want. */
  readonly #idle = new Set<Socket>();
  #told = '';
  #closing: Promise<void> | undefined;

  private constructor(options: HostOptions, lock: Disposable) {
    const { home, workspace, globals, output, asker, ask } = options;
    this.#home = home;
    this.#lock = lock;
    this.workspace = workspace;
    this.globals = globals;
    this.output = new ToldOutput(output, (news) => this.#tell(news));
    const { pending } = workspace;
    this.asker = ask
      ? { client: pendingAsker(pending, this.output), inbox: inboxAsker(pending, this.output) }
      : asker;
    this.#server = createServer((socket) => this.#greet(socket));
    this.#server.on('error', (error) =>
      this.output.note(`the socket of this server fails: ${error.message}`),
    );
    workspace.jobs.isServers = true;
    workspace.pending.isServers = true;
    workspace.jobs.onChange = (job) => tellJob(this.output, job);
  }

  /** Takes the place of the home's server. Throws SERVER_RUNNING, STATE. */
  static async take(options: HostOptions): Promise<Host> {
    return new Host(options, await holdServerLock(options.home));
  }

  /** Listens to other processes from now on. Throws STATE. */
  async open(): Promise<void> {
    await listenAt(this.#server, socketPath(this.#home));
  }

  /** Tells those who watch which ports are open, where that has changed. */
  tellState(): void {
    const news = this.#state();
    const text = JSON.stringify(news);
    if (text === this.#told) return;
    this.#told = text;
    this.#tell(news);
  }

  /** Aborted when another terminal wants the server to end. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Ends the server for another terminal. */
  async shutdown(): Promise<void> {
    this.#ending.abort(errorOf('TERMINATED', 'shut down'));
    await this.close();
  }

  /** Ends what others have it run, closes everything, and gives the home up. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    const visitors = [...this.#visitors];
    for (const visitor of visitors) visitor.stop(errorOf('TERMINATED', 'the server was told to end'));
    await Promise.all(visitors.map(({ settled }) => settled));
    await this.workspace[Symbol.asyncDispose]();
    this.#lock[Symbol.dispose]();
    for (const watcher of this.#watchers) watcher.end();
    for (const idle of this.#idle) idle.destroy();
  }

  #greet(socket: Socket): void {
    socket.on('error', () => {});
    this.#sockets.add(socket);
    this.#idle.add(socket);
    const late = setTimeout(() => refuse(errorOf('TIMEOUT', 'nothing was asked of the server')), PATIENCE);
    socket.once('close', () => {
      clearTimeout(late);
      this.#sockets.delete(socket);
      this.#idle.delete(socket);
    });
    const refuse = (error: Parameters<typeof failureOf>[0]) => {
      clearTimeout(late);
      sendLine(socket, { ended: true, failure: failureOf(error) });
      socket.end();
    };
    if (this.#sockets.size > MOST_VISITORS) {
      refuse(errorOf('BUSY', `${MOST_VISITORS} others speak to the server already`));
      return;
    }
    let visitor: Visitor | undefined;
    readLines(
      socket,
      MOST_REQUEST_BYTES,
      (value) => {
        if (visitor !== undefined) return visitor.steer(value);
        const request = readRequest(value);
        clearTimeout(late);
        this.#idle.delete(socket);
        if ('watch' in request) this.#watch(socket);
        else visitor = this.#serve(socket, request);
      },
      (error) => {
        visitor?.stop(errorOf('CANCELLED', 'cancelled'));
        refuse(error);
      },
    );
  }

  #serve(socket: Socket, request: ConstructorParameters<typeof Visitor>[2]): Visitor {
    const visitor = new Visitor(this, socket, request);
    this.#visitors.add(visitor);
    void visitor.settled.then(() => {
      this.#visitors.delete(visitor);
      this.tellState();
    });
    return visitor;
  }

  /** Begins with what is so already. */
  #watch(socket: Socket): void {
    this.#watchers.add(socket);
    socket.once('close', () => this.#watchers.delete(socket));
    sendLine(socket, this.#state());
    const { pending } = this.workspace;
    for (const matter of pending.matters) {
      const name = pending.nameOf(matter.number);
      const note =
        matter.kind === 'peer'
          ? questionText(matter.question, name, this.output)
          : offerQuestion(matter.offer, name, this.output);
      sendLine(socket, { note, event: null });
    }
  }

  #state(): News {
    const ports = (this.workspace.opened?.listeners ?? []).map(({ port }) => port);
    return { state: { pid: process.pid, ports } };
  }

  #tell(news: News): void {
    for (const watcher of this.#watchers) {
      if (watcher.writableLength > MOST_UNREAD) watcher.destroy();
      else sendLine(watcher, news);
    }
  }
}

/** Prints, and tells those who watch. */
class ToldOutput extends Output {
  readonly #tell: (news: News) => void;
  #isNoting = false;

  constructor({ screen, style }: Output, tell: (news: News) => void) {
    super(screen, style);
    this.#tell = tell;
  }

  override note(text: string, event?: OutputEvent): void {
    this.#tell({ note: text, event: event ?? null });
    this.#isNoting = true;
    super.note(text, event);
    this.#isNoting = false;
  }

  override event(event: OutputEvent): void {
    if (!this.#isNoting) this.#tell({ note: '', event });
    super.event(event);
  }
}
