/** config: the settings, and where each value comes from. */
import { errorOf } from '../../errors.ts';
import { escapeText } from '../../protocol/text.ts';
import { describeSettings, type SettingKey, settingKey, settingKeys } from '../../settings.ts';
import { resolveHome } from '../../store/home.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import type { SettingEvent } from '../events.ts';
import { text } from '../values.ts';

const ACTIONS = ['get', 'set', 'list', 'path'] as const;
type Action = (typeof ACTIONS)[number];

function parseAction(typed: string): Action {
  const action = ACTIONS.find((candidate) => candidate === typed);
  if (action !== undefined) return action;
  throw errorOf('USAGE', `config can't "${escapeText(typed, 60)}"`, { hint: `write ${ACTIONS.join(', ')}` });
}

export const config = defineCommand({
  name: 'config',
  aliases: [],
  group: 'shell',
  scope: 'both',
  summary: 'the settings: get KEY, set KEY [VALUE], list, path',
  notes: [
    'The list says where each value comes from: the default, the settings file or a variable. Set without VALUE lets the default ' +
      'hold again. What is set counts from the next start. Secrets are not shown.',
  ],
  arguments: {
    action: required('get, set, list or path', parseAction, ACTIONS),
    key: optional('the name of a setting', text, settingKeys),
    value: optional('its value, such as 7400, 64K, 5s or auto', text),
  },
  options: {},
  examples: [
    { line: 'config list', does: 'shows every setting' },
    { line: 'config set port 7400', does: 'opens and dials that port where none is given' },
  ],
  run: async (context, { arguments: { action, key, value } }) => {
    const unwanted = action === 'set' ? undefined : (value ?? (action === 'get' ? undefined : key));
    if (unwanted !== undefined)
      throw errorOf('USAGE', `config ${action} takes no "${escapeText(unwanted, 60)}"`, {
        hint: 'see "help config"',
      });
    if (action === 'path') {
      const { settingsFile } = resolveHome(process.env, context.globals.home);
      context.output.result({ event: 'setting_file', path: settingsFile }, escapeText(settingsFile, 1000));
      return;
    }
    if (action === 'list') {
      await show(context, await settings(context));
      return;
    }
    if (key === undefined)
      throw errorOf('USAGE', `config ${action} wants a setting`, { hint: 'config list has their names' });
    const known = settingKey(key);
    if (action === 'set') await set(context, known, value);
    else await getOne(context, known);
  },
});

async function getOne(context: Context, key: SettingKey): Promise<void> {
  const [event] = (await settings(context)).filter((setting) => setting.key === key);
  if (event !== undefined) context.output.result(event, shownValue(event));
}

async function set(context: Context, key: SettingKey, value: string | undefined): Promise<void> {
  const { setSetting } = await import('../../store/settings-store.ts');
  const home = resolveHome(process.env, context.globals.home);
  if (value !== undefined && describeSettings().some((setting) => setting.key === key && setting.secret))
    throw errorOf(
      'USAGE',
      `${key} is a secret, and a command line is no place for one: others see it, histories keep it`,
      {
        hint: `write it into ${home.settingsFile}`,
      },
    );
  const { ensurePrivateFolder } = await import('../../store/home.ts');
  ensurePrivateFolder(home.config);
  await setSetting(home, key, value, (message) => context.output.note(escapeText(message, 1000)));
  const [event] = (await settings(context)).filter((setting) => setting.key === key);
  if (event === undefined) return;
  if (event.layer === 'environment') {
    context.output.note(`${event.place ?? 'a variable'} is set, and counts more than the file`);
  }
  context.output.result(event, `${key} = ${shownValue(event)}`);
}

/** Every setting as it holds for the next start. */
async function settings({ globals, output }: Context): Promise<SettingEvent[]> {
  const { loadSettings } = await import('../../store/settings-store.ts');
  const home = resolveHome(process.env, globals.home);
  const warn = (message: string) => output.note(escapeText(message, 1000));
  const { settings: settled, origins } = await loadSettings({ home, warn });
  return describeSettings().map(({ key, secret, about }) => {
    const { layer, place } = origins.get(key) ?? { layer: 'default', place: undefined };
    const value = settledValue(settled, key);
    return {
      event: 'setting',
      key,
      value: secret ? null : value,
      secret,
      isSet: value !== null,
      layer,
      place: place ?? null,
      about,
    };
  });
}

function settledValue(settled: object, key: string): string | number | null {
  const [first = '', second] = key.split('.');
  let value: unknown = Reflect.get(settled, first);
  if (second !== undefined)
    value = typeof value === 'object' && value !== null ? Reflect.get(value, second) : null;
  return typeof value === 'string' || typeof value === 'number' ? value : null;
}

function shownValue({ value, secret, isSet }: SettingEvent): string {
  if (secret) return isSet ? '(set, not shown)' : 'null';
  return value === null ? 'null' : escapeText(String(value), 200);
}

async function show({ output }: Context, all: readonly SettingEvent[]): Promise<void> {
  const rows = all.map((event) => [
    event.key,
    shownValue(event),
    event.place === null ? event.layer : `${event.layer} (${escapeText(event.place, 200)})`,
  ]);
  const lines = output.json ? [] : await alignColumns(rows);
  for (const [index, event] of all.entries()) output.result(event, lines[index] ?? '');
}
