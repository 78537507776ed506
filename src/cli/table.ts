/** The table of all commands, in the order of help. */
import type { Command, Scope } from './command.ts';
import { auth } from './commands/auth.ts';
import { mkdir, mv, rm } from './commands/changes.ts';
import { completion } from './commands/completion.ts';
import { config } from './commands/config.ts';
import { connect, disconnect } from './commands/connect.ts';
import { delConnection } from './commands/del-connection.ts';
import { doctor } from './commands/doctor.ts';
import { cd, lcd, lls, lpwd, pwd } from './commands/folders.ts';
import { get, mget, mput, put } from './commands/get-put.ts';
import { identity } from './commands/identity.ts';
import { cancel, fg, jobs, wait } from './commands/jobs.ts';
import { listDir } from './commands/list-dir.ts';
import { addConnection, addLocalConnection } from './commands/listen.ts';
import { kick, login } from './commands/login.ts';
import { pair } from './commands/pair.ts';
import { exportPeer, forget, importPeer, peers, rename } from './commands/peers.ts';
import { possibleConnections } from './commands/possible-connections.ts';
import { receiveFile } from './commands/receive-file.ts';
import { open, seal } from './commands/seal.ts';
import { receive, send } from './commands/send.ts';
import { sendFile } from './commands/send-file.ts';
import { serve, shutdown } from './commands/serve.ts';
import { history, sessions } from './commands/sessions.ts';
import { exit, help } from './commands/shell.ts';
import { status } from './commands/status.ts';
import { accept, reject, trust } from './commands/trust.ts';
import { user } from './commands/user.ts';
import { verify } from './commands/verify.ts';

/** Every command that there is. */
export const COMMANDS: readonly Command[] = [
  addConnection,
  addLocalConnection,
  delConnection,
  serve,
  shutdown,
  status,
  kick,
  possibleConnections,
  connect,
  disconnect,
  login,
  listDir,
  cd,
  pwd,
  lcd,
  lpwd,
  lls,
  get,
  put,
  mget,
  mput,
  mkdir,
  mv,
  rm,
  send,
  receive,
  sendFile,
  receiveFile,
  jobs,
  wait,
  cancel,
  fg,
  seal,
  open,
  verify,
  identity,
  pair,
  peers,
  trust,
  forget,
  rename,
  exportPeer,
  importPeer,
  user,
  auth,
  accept,
  reject,
  sessions,
  history,
  config,
  completion,
  doctor,
  help,
  exit,
];

/** The commands of the shell, or those that run once. */
export function commandsFor(surface: Exclude<Scope, 'both'>): readonly Command[] {
  return COMMANDS.filter(({ scope }) => scope === surface || scope === 'both');
}
