/**
 * Writes `docs/settings.md` from the table of the settings and their defaults. A test compares the two, so that the
 * page cannot drift.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeSettings } from '../src/settings.ts';

const INTRODUCTION = `# Settings

Each setting has one name. Its value is the last of: the default, \`config.json\` in the settings folder
(\`{ "port": 7400, "keepAlive.silence": 60000 }\`), its environment variable, the flag of a command. A variable that is
empty counts as not set. In variables, flags and texts, sizes and rates may end in kB, MB, GB or TB (powers of 1000) or KiB, MiB,
GiB or TiB (powers of 1024); a letter alone, K, M, G or T, is of 1024 in a size (\`64K\`) and of 1000 in a rate (\`20M\`), which may
end in /s. Times may end in ms, s, m or h. Without any of these they are bytes, bytes a second and milliseconds.

`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The page, from what the program knows. */
export function settingsPage(): string {
  const rows = describeSettings().map((setting) => {
    const cells = [
      `\`${setting.key}\``,
      `\`${JSON.stringify(setting.default)}\``,
      setting.allowed,
      setting.about,
      `\`${setting.variable}\``,
    ];
    return `| ${cells.map(cell).join(' | ')} |`;
  });
  const head = ['| setting | default | allowed | what it is | variable |', '|---|---|---|---|---|'];
  return `${INTRODUCTION}${[...head, ...rows].join('\n')}\n`;
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, '../docs/settings.md'), settingsPage());
