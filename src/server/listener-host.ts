/** What every listener of a machine works with. */
import type { Identity } from '../crypto/identity.ts';
import type { Limiter } from '../net/limiter.ts';
import type { Recorder } from '../session/recorder.ts';
import type { TrustedSessions } from '../session/trusted-sessions.ts';
import type { Settings } from '../settings.ts';
import type { ErrorLog } from '../store/error-log.ts';
import type { TrustStore } from '../store/trust-store.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import type { Users } from './users.ts';

export interface ListenerHost {
  readonly identity: Identity;
  readonly name: string;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly pool: WorkerPool;
  readonly limiter: Limiter | undefined;
  readonly recorder: Recorder;
  readonly log: ErrorLog;
  readonly users: Users;
  readonly trusted: TrustedSessions;
  /** Folder of offers that are accepted without a place of their own. */
  readonly inbox: string;
}
