/**
 * Writes `docs/json-schema/event.json` from the types of the events that `--json` prints. A test compares the two, so that the
 * schema cannot drift; others hold real output against it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BaseType,
  type CompletedConfig,
  createFormatter,
  createParser,
  createProgram,
  DEFAULT_CONFIG,
  DefinitionType,
  EnumType,
  SchemaGenerator,
  type SubNodeParser,
} from 'ts-json-schema-generator';
import { allCodes } from '../src/errors.ts';

const root = join(import.meta.dirname, '..');
const ROOT_TYPE = 'OutputEvent';

const CONFIG: CompletedConfig = {
  ...DEFAULT_CONFIG,
  path: join(root, 'src/cli/events.ts'),
  tsconfig: join(root, 'tsconfig.json'),
  type: ROOT_TYPE,
  // `npm run check` has done that, with the compiler of the project.
  skipTypeCheck: true,
  additionalProperties: false,
  topRef: true,
  sortProps: false,
};

/** The codes come from a JSON file, of which the generator knows no type. */
const ERROR_CODES: SubNodeParser = {
  supportsNode: (node) => node.getText() === 'ErrorCode',
  createType: (): BaseType =>
    new DefinitionType(
      'ErrorCode',
      new EnumType(
        'ErrorCode',
        allCodes()
          .map(({ code }) => code)
          .toSorted(),
      ),
    ),
};

/** The schema, of one line that `--json` prints. */
export function eventSchema(): Record<string, unknown> {
  const program = createProgram(CONFIG);
  const parser = createParser(program, CONFIG, (chain) => chain.addNodeParser(ERROR_CODES));
  const schema = new SchemaGenerator(program, parser, createFormatter(CONFIG), CONFIG).createSchema(
    ROOT_TYPE,
  );
  return {
    ...schema,
    title: 'An event of localstream --json',
    description: 'One line of the output. Made from the types by scripts/json-schema.ts.',
  };
}

/** The file as it has to be. */
export function schemaText(): string {
  return `${JSON.stringify(eventSchema(), null, 2)}\n`;
}

if (import.meta.main) {
  const folder = join(root, 'docs/json-schema');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'event.json'), schemaText());
}
