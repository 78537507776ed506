/**
 * A command is data. One table of them feeds the one-shot program, the shell's dispatcher, help, completion and the
 * reference; nothing else knows what commands there are.
 */
import type { Context } from './context.ts';

/** Where a command makes sense: inside the shell, as `localstream COMMAND`, or in both. */
export type Scope = 'shell' | 'once' | 'both';

/** What `help` groups by, in its order. */
export const GROUPS = {
  serve: 'Let others in',
  reach: 'Reach a server',
  move: 'Move files',
  trust: 'Who is who',
  shell: 'The shell',
} as const;
export type Group = keyof typeof GROUPS;

/** What a completion of this value would offer; a list is the words themselves. */
export type Completion =
  | readonly string[]
  | 'command'
  | 'path'
  | 'folder'
  | 'remote'
  /** A trusted peer. */
  | 'peer'
  /** Whoever can be dialled: trusted, or found on the network. */
  | 'host'
  | 'port'
  | 'question'
  | 'code'
  | 'job'
  | 'none';

/** Turns what was typed into a value. Throws USAGE with a message that says what would be right. */
export type Parse<Value> = (text: string) => Value;

/** A positional argument; its key in `arguments` is its name. */
export interface Argument<Value = unknown, Required extends boolean = boolean> {
  readonly kind: 'argument';
  readonly summary: string;
  readonly required: Required;
  readonly parse: Parse<Value>;
  readonly completes: Completion;
}

/** The last positional argument, given more than once or, where it is not required, not at all. */
export interface RestArgument<Value = unknown> extends Omit<Argument<Value>, 'kind'> {
  readonly kind: 'rest';
}

/** An option without a value. */
export interface Flag {
  readonly kind: 'flag';
  readonly summary: string;
  /** One letter by which it goes as well. */
  readonly short?: string;
}

/** An option with a value, `--name VALUE`. */
export interface Option<Value = unknown> {
  readonly kind: 'option';
  readonly summary: string;
  /** How the value is called in help. */
  readonly value: string;
  readonly parse: Parse<Value>;
  readonly completes: Completion;
}

/** An option with a value that may be given again and again. Never variadic: it would swallow the arguments. */
export interface ListOption<Value = unknown> extends Omit<Option<Value>, 'kind'> {
  readonly kind: 'list';
}

/** Positional arguments in the order in which they are written. */
export type Arguments = Readonly<Record<string, Argument | RestArgument>>;
/** Options by their name in camel case; `acceptNew` is written `--accept-new`. */
export type Options = Readonly<Record<string, Flag | Option | ListOption>>;

type ArgumentValue<Spec> =
  Spec extends RestArgument<infer Value>
    ? readonly Value[]
    : Spec extends Argument<infer Value, infer Required>
      ? Required extends true
        ? Value
        : Value | undefined
      : never;
type OptionValue<Spec> = Spec extends Flag
  ? boolean
  : Spec extends ListOption<infer Value>
    ? readonly Value[]
    : Spec extends Option<infer Value>
      ? Value | undefined
      : never;

/** What was typed, checked. */
export interface Input<Positional extends Arguments = Arguments, Named extends Options = Options> {
  readonly arguments: { readonly [Name in keyof Positional]: ArgumentValue<Positional[Name]> };
  readonly options: { readonly [Name in keyof Named]: OptionValue<Named[Name]> };
}

/** One line that works as it stands, and what it does. */
export interface Example {
  readonly line: string;
  readonly does: string;
}

/** Whether the server of the home, if one is running, does a command in place of the process that was given it. */
export interface ServerPart {
  /** Outside the shell: there must be one, or it is done in this process where there is none. */
  readonly once: 'needed' | 'preferred';
  /** Whether the shell has it done there too. */
  readonly shell: boolean;
}

/** One command of the table. */
export interface Command<Positional extends Arguments = Arguments, Named extends Options = Options> {
  readonly name: string;
  /** Further names. The kebab-case form of `name` is one without being listed. */
  readonly aliases: readonly string[];
  readonly group: Group;
  readonly scope: Scope;
  readonly server?: ServerPart;
  /** Whether an `&` at its end makes a job of it. */
  readonly background?: boolean;
  /** One clause in lower case without a final period. */
  readonly summary: string;
  /** What a person must know besides, one paragraph each. */
  readonly notes: readonly string[];
  readonly arguments: Positional;
  readonly options: Named;
  readonly examples: readonly [Example, ...Example[]];
  /** A method, not a property, so that a command of particular inputs is a command of any. */
  run(context: Context, input: Input<Positional, Named>): Promise<void>;
}

/** Ties the type of `run`'s input to the arguments and options beside it. */
export function defineCommand<const Positional extends Arguments, const Named extends Options>(
  command: Command<Positional, Named>,
): Command {
  return command;
}

/** An argument that must be given. */
export function required<Value>(
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): Argument<Value, true> {
  return { kind: 'argument', summary, required: true, parse, completes };
}

/** An argument that may be left out. */
export function optional<Value>(
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): Argument<Value, false> {
  return { kind: 'argument', summary, required: false, parse, completes };
}

/** Arguments of which there is at least one. Only as the last. */
export function several<Value>(
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): RestArgument<Value> {
  return { kind: 'rest', summary, required: true, parse, completes };
}

/** Arguments of which there may be none. Only as the last. */
export function anyNumber<Value>(
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): RestArgument<Value> {
  return { kind: 'rest', summary, required: false, parse, completes };
}

/** `--name`, and with a letter `-n` too. */
export function flag(summary: string, short?: string): Flag {
  return { kind: 'flag', summary, ...(short === undefined ? {} : { short }) };
}

/** `--name VALUE`. */
export function option<Value>(
  value: string,
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): Option<Value> {
  return { kind: 'option', value, summary, parse, completes };
}

/** `--name VALUE`, as often as wanted. */
export function list<Value>(
  value: string,
  summary: string,
  parse: Parse<Value>,
  completes: Completion = 'none',
): ListOption<Value> {
  return { kind: 'list', value, summary, parse, completes };
}

/** The form with hyphens: `send_file` is `send-file`, `acceptNew` is `accept-new`. */
export function kebabCase(name: string): string {
  return name.replaceAll('_', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Every name that a command answers to, the proper one first. */
export function namesOf(command: Command): string[] {
  return [...new Set([command.name, kebabCase(command.name), ...command.aliases])];
}

/** What the argument at a position, counted from 0, may become. */
export function kindsAt(command: Command, position: number): readonly Completion[] {
  const all = Object.values(command.arguments);
  const spec = all[position] ?? (all.at(-1)?.kind === 'rest' ? all.at(-1) : undefined);
  if (spec === undefined) return [];
  // The last word of get is a place here, and that of put one there.
  const isTransfer = spec.kind === 'rest' && (command.name === 'get' || command.name === 'put');
  if (isTransfer && position > 0)
    return spec.completes === 'remote' ? ['remote', 'path'] : ['path', 'remote'];
  // A first word of receive that is no code is the folder.
  const next = spec.completes === 'code' ? all[position + 1] : undefined;
  return next === undefined ? [spec.completes] : [spec.completes, next.completes];
}
