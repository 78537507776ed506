/** Whether the system's texts are UTF-8: elsewhere what is drawn with blocks would be other characters. */
export function isUnicode(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  if (env['TERM'] === 'dumb') return false;
  if (process.platform === 'win32') return env['WT_SESSION'] !== undefined;
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find(
    (name) => name !== undefined && name !== '',
  );
  return /utf-?8/i.test(locale ?? '');
}
