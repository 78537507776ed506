/**
 * Settles the settings: defaults ← user file ← environment ← flags. No file is read here (see
 * `store/settings-store.ts`), so that a test or a program can settle settings without a home.
 */
import { availableParallelism, hostname } from 'node:os';
import { errorOf, LocalstreamError } from './errors.ts';
import {
  checkSetting,
  cleanName,
  defaultOf,
  didYouMean,
  type SettingKey,
  type Settings,
  settingKey,
  settingKeys,
  VARIABLE_PREFIX,
  variableOf,
} from './settings.ts';

export type { SettingKey, Settings } from './settings.ts';

/** Where a value came from: the layer, and its place in it (a file, a variable, a flag). */
export interface SettingOrigin {
  readonly layer: 'default' | 'file' | 'environment' | 'flag';
  readonly place: string | undefined;
}

/** Settled settings, and where each value came from. */
export interface Configuration {
  readonly settings: Settings;
  readonly origins: ReadonlyMap<SettingKey, SettingOrigin>;
}

/** The layers above the defaults. */
export interface SettingLayers {
  /** Content of the user's file, already parsed, and its path for messages. */
  readonly file?: { readonly path: string; readonly values: Readonly<Record<string, unknown>> };
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By setting key; a text is read as the command line reads it, undefined is skipped. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/** Variables that are ours and are no settings. */
const OTHER_VARIABLES = ['HOME', 'CODE', 'PASSWORD_FILE', 'DAEMON'];

/** The host's name without its domain, fit to be a device name. */
function hostName(): string {
  return cleanName(hostname().split('.')[0] ?? '') || 'localstream';
}

function nest(values: ReadonlyMap<SettingKey, unknown>): Settings {
  const result: Record<string, unknown> = {};
  const groups = new Map<string, Record<string, unknown>>();
  for (const [key, value] of values) {
    const [first = key, second] = key.split('.');
    if (second === undefined) {
      result[first] = value;
      continue;
    }
    const group = groups.get(first) ?? {};
    groups.set(first, group);
    group[second] = value;
    result[first] = group;
  }
  // Every key of the table is there and has passed its schema.
  return result as Settings;
}

/**
 * Settles the settings from their layers. What is wrong in the user's file or unknown in the environment is told
 * to `warn` and left out, since neither may stop a start.
 * @throws BAD_SETTING for a flag, or a variable's value, that is not allowed.
 */
export function settleSettings(
  layers: SettingLayers,
  warn: (message: string) => void = () => {},
): Configuration {
  const values = new Map<SettingKey, unknown>();
  const origins = new Map<SettingKey, SettingOrigin>();
  const put = (key: SettingKey, value: unknown, layer: SettingOrigin['layer'], place?: string) => {
    // Of the file it is said below, for a key that is unknown as well.
    values.set(key, checkSetting(key, value, layer === 'file' ? undefined : place));
    origins.set(key, { layer, place });
  };
  for (const key of settingKeys) put(key, defaultOf(key), 'default');

  for (const [key, value] of Object.entries(layers.file?.values ?? {})) {
    const place = layers.file?.path;
    try {
      put(settingKey(key), value, 'file', place);
    } catch (error) {
      if (!(error instanceof LocalstreamError)) throw error;
      warn(`${place}: ${error.message}: left out${error.hint === undefined ? '' : `; ${error.hint}`}`);
    }
  }
  readEnvironment(layers.env ?? {}, put, warn);
  for (const [key, value] of Object.entries(layers.flags ?? {})) {
    if (value !== undefined) put(settingKey(key), value, 'flag', key);
  }
  keepSilenceAboveInterval(values, origins, warn);
  if (values.get('name') === null) values.set('name', hostName());
  if (values.get('workers') === null) values.set('workers', Math.max(2, availableParallelism() - 1));
  return { settings: nest(values), origins };
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  put: (key: SettingKey, value: string, layer: 'environment', place: string) => void,
  warn: (message: string) => void,
): void {
  const known = new Map(settingKeys.map((key) => [variableOf(key), key]));
  const others = new Set(OTHER_VARIABLES.map((name) => VARIABLE_PREFIX + name));
  for (const [variable, text] of Object.entries(env)) {
    // An empty variable is how compose files and shells write "not set".
    if (!variable.startsWith(VARIABLE_PREFIX) || !text || others.has(variable)) continue;
    const key = known.get(variable);
    if (key === undefined) {
      warn(`there is no setting for the variable ${variable}${didYouMean(variable, known.keys())}`);
    } else put(key, text, 'environment', variable);
  }
}

/** A peer that is asked every `interval` can't be called lost before it had the time to answer. */
function keepSilenceAboveInterval(
  values: Map<SettingKey, unknown>,
  origins: Map<SettingKey, SettingOrigin>,
  warn: (message: string) => void,
): void {
  const keys = ['keepAlive.interval', 'keepAlive.silence'] as const;
  const [interval, silence] = keys.map((key) => Number(values.get(key)));
  if (interval === undefined || silence === undefined || silence > interval) return;
  const message = `keepAlive.silence (${silence} ms) must be longer than keepAlive.interval (${interval} ms)`;
  const layers = keys.map((key) => origins.get(key)?.layer);
  if (layers.some((layer) => layer === 'flag' || layer === 'environment'))
    throw errorOf('BAD_SETTING', message);
  warn(`${message}: both left at their defaults`);
  for (const key of keys) {
    values.set(key, defaultOf(key));
    origins.set(key, { layer: 'default', place: undefined });
  }
}
