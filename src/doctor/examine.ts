/** Looks at this machine: whether it can be found, be reached, and do its work. Changes nothing. */
import { settleSettings } from '../config.ts';
import { resolveHome } from '../store/home.ts';
import { loadSettings } from '../store/settings-store.ts';
import { aesSpeed } from './aes.ts';
import { clock } from './clock.ts';
import { disk } from './disk.ts';
import { type Check, type CheckId, type Finding, fixOf, reasonOf, type Surroundings } from './finding.ts';
import { firewall } from './firewall.ts';
import { homeFolders, keyFiles } from './home.ts';
import { interfaces } from './interfaces.ts';
import { loopback } from './loopback.ts';
import { multicast } from './multicast.ts';
import { node } from './node.ts';
import { port } from './port.ts';
import { users } from './users.ts';

const ORDER: readonly (readonly [CheckId, Check])[] = [
  ['home', homeFolders],
  ['keys', keyFiles],
  ['disk', disk],
  ['clock', clock],
  ['node', node],
  ['aes', aesSpeed],
  ['interfaces', interfaces],
  ['multicast', multicast],
  ['port', port],
  ['firewall', firewall],
  ['users', users],
  ['loopback', loopback],
];

/**
 * Looks at one thing after the other. Nothing is changed but a broken settings file, which is set aside as at any start.
 *
 * @param root Folder of the home, where not the usual one.
 * @throws STATE where the home can't even be named, CANCELLED.
 */
export async function* examine(
  root: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Finding, void, undefined> {
  const home = resolveHome(process.env, root);
  const { findings, ...settled } = await settle(home);
  yield* findings;
  const surroundings: Surroundings = { home, signal, ...settled };
  for (const [id, check] of ORDER) {
    signal.throwIfAborted();
    yield* await check(surroundings).catch((error: unknown): Finding[] => {
      signal.throwIfAborted();
      return [
        { id, grade: 'unknown', text: `this could not be looked at: ${reasonOf(error)}`, ...fixOf(error) },
      ];
    });
  }
}

async function settle(
  home: Surroundings['home'],
): Promise<Pick<Surroundings, 'settings' | 'isValid'> & { readonly findings: readonly Finding[] }> {
  const told: string[] = [];
  try {
    const { settings } = await loadSettings({ home, warn: (message) => told.push(message) });
    const isValid = told.length === 0;
    const findings: Finding[] = isValid
      ? [{ id: 'settings', grade: 'ok', text: `valid, from ${home.settingsFile} and the environment` }]
      : told.map((text) => ({
          id: 'settings',
          grade: 'warning',
          text,
          fix: 'mend it: localstream config list shows what is allowed',
        }));
    return { settings, isValid, findings };
  } catch (error) {
    const { settings } = settleSettings({
      file: { path: home.settingsFile, values: {} },
      env: {},
      flags: {},
    });
    const finding: Finding = { id: 'settings', grade: 'problem', text: reasonOf(error), ...fixOf(error) };
    return { settings, isValid: false, findings: [finding] };
  }
}
