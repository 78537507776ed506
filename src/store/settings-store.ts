import * as v from 'valibot';
import { type Configuration, settleSettings } from '../config.ts';
import { checkSetting, settingKey } from '../settings.ts';
import type { Home } from './home.ts';
import { JsonFile, type JsonFileOptions, type Warn } from './json-file.ts';

type Broken = NonNullable<JsonFileOptions<object>['broken']>;

function settingsFile(
  home: Home,
  warn?: Warn,
  broken: Broken = 'set-aside',
): JsonFile<Record<string, unknown>> {
  return new JsonFile({
    path: home.settingsFile,
    broken,
    // Values are checked one by one later, so that one bad line does not cost the others.
    schema: v.pipe(
      v.unknown(),
      // A list would pass for a record with the keys 0, 1, 2.
      v.check((content) => !Array.isArray(content)),
      v.record(v.string(), v.unknown()),
    ),
    empty: () => ({}),
    ...(warn === undefined ? {} : { warn }),
  });
}

/** What {@link loadSettings} works with. */
export interface LoadSettingsOptions {
  readonly home: Home;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By setting key; texts are read as the command line writes them, undefined ones are skipped. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly warn?: Warn;
  /** What becomes of a file that can't be understood; it is set aside unless this says `refuse`. */
  readonly broken?: Broken;
}

/**
 * Settles the settings: defaults ← the home's `config.json` ← `LOCALSTREAM_*` ← flags. A file that is broken is set
 * aside, a line of it that is wrong is left out, both with a warning.
 * @throws BAD_SETTING for a flag or a variable with a value that is not allowed; STATE when the file can't be read.
 */
export async function loadSettings(options: LoadSettingsOptions): Promise<Configuration> {
  const { home, env = process.env, flags = {}, warn, broken } = options;
  const values = await settingsFile(home, warn, broken).read();
  return settleSettings({ file: { path: home.settingsFile, values }, env, flags }, warn);
}

/**
 * Writes one setting into the home's `config.json`; everything else in it stays, also what this version does not
 * know. A `value` of undefined removes it, so that the default holds again.
 * @returns the value as it was understood (`64K` is 65536).
 * @throws BAD_SETTING for an unknown key or a value that is not allowed, STATE or BUSY when it can't be written.
 */
export async function setSetting(
  home: Home,
  key: string,
  value: unknown,
  warn?: Warn,
): Promise<string | number | null | undefined> {
  const known = settingKey(key);
  const checked = value === undefined ? undefined : checkSetting(known, value);
  await settingsFile(home, warn).update((values) => {
    const { [known]: _, ...others } = values;
    return checked === undefined ? others : { ...others, [known]: checked };
  });
  return checked;
}
