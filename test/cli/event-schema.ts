/** Holds what the program prints with `--json` against the schema that is published. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import * as v from 'valibot';

const FILE = join(import.meta.dirname, '..', '..', 'docs', 'json-schema', 'event.json');
const Kind = v.union([
  v.pipe(
    v.object({ const: v.string() }),
    v.transform((kind) => [kind.const]),
  ),
  v.pipe(
    v.object({ enum: v.array(v.string()) }),
    v.transform((kind) => kind.enum),
  ),
]);
const Schema = v.object({
  definitions: v.record(
    v.string(),
    v.looseObject({ properties: v.optional(v.record(v.string(), v.unknown())) }),
  ),
});

const validators = new Map<string, ValidateFunction>();

/** The check of each kind of event. One by one, since "none of forty fits" would say nothing. */
function load(): void {
  const schema: object = JSON.parse(readFileSync(FILE, 'utf8'));
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
  ajv.addSchema(schema, 'event');
  for (const [name, { properties }] of Object.entries(v.parse(Schema, schema).definitions)) {
    const kinds = v.safeParse(Kind, properties?.['event']);
    if (!kinds.success) continue;
    const validate = ajv.compile({ $ref: `event#/definitions/${name}` });
    for (const kind of kinds.output) validators.set(kind, validate);
  }
}

/** Every kind of event that there is. */
export function eventKinds(): string[] {
  if (validators.size === 0) load();
  return [...validators.keys()];
}

/** Fails where an event is not as the schema says. */
export function checkEvent(event: unknown): void {
  if (validators.size === 0) load();
  const { event: kind } = v.parse(v.object({ event: v.string() }), event);
  const validate = validators.get(kind);
  assert.ok(validate, `the schema has no event ${kind}`);
  const problems = validate(event)
    ? []
    : validate.errors?.map((error) => `${error.instancePath} ${error.message}`);
  assert.deepEqual(problems, [], JSON.stringify(event));
}
