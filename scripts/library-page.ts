/**
 * Writes the part of `docs/library.md` that lists every exported name, from the TSDoc in the sources. A test compares the two,
 * so that the page cannot drift, and finds names without a word about them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ClassElement, type Comment, type Declaration, type Program, parseSync } from 'oxc-parser';

const root = join(import.meta.dirname, '..');
const page = join(root, 'docs/library.md');
const BEGIN = '<!-- begin: made by scripts/library-page.ts -->';
const END = '<!-- end -->';

type Spot = { readonly start: number; readonly end: number };

/** A file, and what stands before its declarations. */
interface Source {
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
}

/** An exported name. */
interface Entry {
  readonly name: string;
  readonly kind: 'Functions' | 'Classes' | 'Types';
  readonly about: string | undefined;
  readonly code: string;
}

function load(path: string): Source {
  const text = readFileSync(path, 'utf8');
  const { program, comments, errors } = parseSync(path, text);
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`);
  return { text, program, comments };
}

/** The TSDoc right before a place. */
function docBefore({ text, comments }: Source, { start }: Spot): string | undefined {
  const found = comments.find(
    ({ type, value, end }) =>
      type === 'Block' && value.startsWith('*') && end <= start && text.slice(end, start).trim() === '',
  );
  return found?.value;
}

function slice({ text }: Source, start: number, end: number): string {
  return text.slice(start, end).trimEnd();
}

/** TSDoc as Markdown. */
function prose(doc: string): string {
  return doc
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .replaceAll(/\{@link ([\w.]+)\}/g, '`$1`')
    .replaceAll(/^@param (\w+) /gm, '\n- `$1`: ')
    .replaceAll(/^@returns /gm, '\nReturns ')
    .replaceAll(/^@throws /gm, '\nThrows ')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
}

/** The comment of a member, as it stands in the source but for where it begins. */
function memberDoc(doc: string | undefined): string {
  if (doc === undefined) return '';
  const lines = `/*${doc}*/`.split('\n').map((line) => line.trim());
  return lines.map((line, index) => `  ${index === 0 ? '' : ' '}${line}\n`).join('');
}

function member(source: Source, spot: Spot, end: number): string {
  const text = slice(source, spot.start, end).replace(/[;,]$/, '');
  const shown = text.replace(/^(static )?async /, '$1').replace(/^\*/, '');
  return `${memberDoc(docBefore(source, spot))}  ${shown};\n`;
}

function classMember(source: Source, spot: ClassElement): string {
  const isHidden = docBefore(source, spot)?.includes('@internal') ?? false;
  if (isHidden || !('key' in spot) || spot.key.type === 'PrivateIdentifier') return '';
  if ('accessibility' in spot && spot.accessibility && spot.accessibility !== 'public') return '';
  // It only says again what the class above it says.
  if ('override' in spot && spot.override) return '';
  const value = 'value' in spot ? spot.value : null;
  if (spot.type === 'MethodDefinition') {
    const { body } = spot.value;
    return member(source, spot, body ? body.start : spot.end);
  }
  const end = value ? source.text.lastIndexOf('=', value.start) : spot.end;
  return member(source, spot, end);
}

function codeOf(source: Source, node: Declaration): string {
  if (node.type === 'ClassDeclaration') {
    const head = slice(source, node.start, node.body.start);
    return `${head} {\n${node.body.body.map((one) => classMember(source, one)).join('')}}`;
  }
  if (node.type === 'TSInterfaceDeclaration') {
    const head = slice(source, node.start, node.body.start);
    return `${head} {\n${node.body.body.map((one) => member(source, one, one.end)).join('')}}`;
  }
  if ((node.type === 'FunctionDeclaration' || node.type === 'TSDeclareFunction') && node.body) {
    return `${slice(source, node.start, node.body.start).replace(/^async /, '')};`;
  }
  const text = slice(source, node.start, node.end);
  // A type that is read off a schema or a table says nothing without it.
  const named = [...text.matchAll(/typeof (\w+)/g)].map(([, name]) => name);
  const values = named.map((name) => constantText(source, name)).filter((value) => value !== '');
  return [...new Set(values), text].join('\n\n');
}

const MOST_LINES = 30;

function constantText(source: Source, wanted: string | undefined): string {
  for (const statement of source.program.body) {
    const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (node?.type !== 'VariableDeclaration') continue;
    const [first] = node.declarations;
    if (first?.id.type !== 'Identifier' || first.id.name !== wanted) continue;
    const text = slice(source, node.start, node.end);
    return text.split('\n').length > MOST_LINES ? '' : text;
  }
  return '';
}

function kindOf(node: Declaration): Entry['kind'] {
  if (node.type === 'ClassDeclaration') return 'Classes';
  return node.type === 'FunctionDeclaration' || node.type === 'TSDeclareFunction' ? 'Functions' : 'Types';
}

/** Where a file takes a name from: by an import, or to hand it on. */
function origin(path: string, name: string): readonly [path: string, name: string] | undefined {
  for (const statement of load(path).program.body) {
    if (statement.type !== 'ExportNamedDeclaration' && statement.type !== 'ImportDeclaration') continue;
    if (!statement.source?.value.startsWith('.')) continue;
    for (const specifier of statement.specifiers) {
      if (specifier.type === 'ImportDefaultSpecifier' || specifier.type === 'ImportNamespaceSpecifier')
        continue;
      const [here, there] =
        specifier.type === 'ImportSpecifier'
          ? [specifier.local, specifier.imported]
          : [specifier.exported, specifier.local];
      if (here.type !== 'Identifier' || there.type !== 'Identifier' || here.name !== name) continue;
      return [join(dirname(path), statement.source.value), there.name];
    }
  }
  return undefined;
}

function declarationOf(
  source: Source,
  name: string,
): { readonly spot: Spot; readonly node: Declaration } | undefined {
  for (const statement of source.program.body) {
    const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (node === null || !('id' in node) || node.id?.type !== 'Identifier' || node.id.name !== name) continue;
    return { spot: statement, node: node as Declaration };
  }
  return undefined;
}

function entryOf(path: string, name: string, isListed: (name: string) => boolean): Entry {
  const source = load(path);
  const found = declarationOf(source, name);
  if (found === undefined) {
    const [next, there] = origin(path, name) ?? [];
    if (next === undefined || there === undefined) throw new Error(`${path} has no ${name}`);
    return entryOf(next, there, isListed);
  }
  const doc = docBefore(source, found.spot);
  const about = doc === undefined ? undefined : prose(doc);
  const code = [codeOf(source, found.node), ...basesOf(path, source, found.node, isListed)].join('\n\n');
  return { name, kind: kindOf(found.node), about, code };
}

/** What a class or interface is made of and the page does not list: what it extends, and the events that it emits. */
function basesOf(
  path: string,
  source: Source,
  node: Declaration,
  isListed: (name: string) => boolean,
): string[] {
  if (node.type !== 'ClassDeclaration' && node.type !== 'TSInterfaceDeclaration') return [];
  const [, ...named] = slice(source, node.start, node.body.start).match(/\b[A-Z]\w+/g) ?? [];
  return named
    .filter((name) => !isListed(name))
    .flatMap((name) => {
      const [place, there] = origin(path, name) ?? [path, name];
      const from = load(place);
      const base = declarationOf(from, there);
      return base === undefined ? [] : [codeOf(from, base.node).replace(` ${there} `, ` ${name} `)];
    });
}

/** Every name that `src/index.ts` exports, in the order of the alphabet. */
export function exportedNames(): Entry[] {
  const index = join(root, 'src/index.ts');
  const places = new Map<string, string>();
  for (const statement of load(index).program.body) {
    if (statement.type !== 'ExportNamedDeclaration' || statement.source === null) continue;
    for (const { local } of statement.specifiers) {
      if (local.type !== 'Identifier') throw new Error('an export with a name in quotes');
      places.set(local.name, join(dirname(index), statement.source.value));
    }
  }
  return [...places]
    .map(([name, path]) => entryOf(path, name, (other) => places.has(other) && other !== name))
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

/** The page with its list made anew. */
export function libraryPage(): string {
  const text = readFileSync(page, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${page} has lost its marks`);
  const entries = exportedNames();
  const kinds = ['Functions', 'Classes', 'Types'] as const;
  const sections = kinds.flatMap((kind) => [
    `### ${kind}`,
    ...entries
      .filter((entry) => entry.kind === kind)
      .flatMap(({ name, about, code }) => [
        `#### ${name}`,
        ...(about === undefined ? [] : [about]),
        `\`\`\`typescript\n${code}\n\`\`\``,
      ]),
  ]);
  return `${text.slice(0, begin)}${BEGIN}\n\n${sections.join('\n\n')}\n\n${text.slice(end)}`;
}

/** Makes the list anew. */
export function writeLibraryPage(): void {
  writeFileSync(page, libraryPage());
}

if (import.meta.main) writeLibraryPage();
