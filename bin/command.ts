import type { ParseArgsOptionDescriptor } from 'node:util';
import type { Platform } from '../lib/image/oci/descriptor.ts';
import { DEFAULT_LIMITS, type Limits } from '../lib/limits.ts';

/** An option of a command. Help, completion and manual pages are made of these. */
export interface Option extends Omit<ParseArgsOptionDescriptor, 'default'> {
  /** Placeholder of the value in `--help`, for options that take one. */
  readonly value?: string;
  /** For a repeatable option: each use takes one value, and operands may follow it. */
  readonly takesOne?: true;
  readonly help: string;
  readonly default?: string;
  /** The variable PANAMAX_NAME gives the value if the command line does not; commas separate several values. */
  readonly env?: true;
  /** The command does not work without it. */
  readonly required?: true;
  /** The values, if there are few, for completion. */
  readonly choices?: readonly string[];
}

export type Options = Readonly<Record<string, Option>>;

export interface Command {
  readonly summary: string;
  /** Names of the operands. `[NAME]` may be left out, `NAME...` may be repeated. */
  readonly operands: readonly string[];
  readonly options: Options;
  /** @param all loads the table of commands, for those that describe others */
  run(args: Arguments, signal: AbortSignal, all: LoadCommands): Promise<void>;
}

export type Commands = readonly (readonly [name: string, command: Command])[];
export type LoadCommands = () => Promise<Commands>;
/** Commands by name, each loaded when it is needed. */
export type Loaders = Readonly<Record<string, () => Promise<Command>>>;

export function loadAll(loaders: Loaders): Promise<Commands> {
  return Promise.all(
    Object.entries(loaders).map(async ([name, load]): Promise<[string, Command]> => [name, await load()]),
  );
}

/** A parsed command line. */
export interface Arguments {
  readonly operands: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): readonly string[];
  /** The value as a whole number of at least 1. @throws PanamaxError `usage` */
  count(name: string): number;
  readonly platform: { readonly platform?: Platform };
  readonly limits: Limits;
}

export const MAX_IMAGE_SIZE = '64G';

/** Options of most commands. */
export const COMMON: Options = {
  json: {
    type: 'boolean',
    help: 'print the result as JSON on standard output, an error as JSON on standard error',
  },
  platform: {
    type: 'string',
    value: 'OS/ARCH',
    help: 'platform to take from an index (default: that of this machine)',
    env: true,
  },
  'max-image-size': {
    type: 'string',
    value: 'SIZE',
    help: 'refuse images with more uncompressed bytes',
    default: MAX_IMAGE_SIZE,
    env: true,
  },
  'max-expansion': {
    type: 'string',
    value: 'N',
    help: 'refuse layers with more than N uncompressed bytes per byte, beyond the first GiB',
    default: String(DEFAULT_LIMITS.maxExpansion),
    env: true,
  },
  scratch: {
    type: 'string',
    value: 'DIR',
    help: 'directory for uncompressed layers while they are needed (default: TMPDIR)',
    env: true,
  },
  help: { type: 'boolean', short: 'h', help: 'print this help' },
};

/** Selects some options of a shared set. */
export function pick(options: Options, ...names: readonly string[]): Options {
  return Object.fromEntries(
    names.map((name) => {
      const option = options[name];
      if (!option) throw new Error(`no option ${name} to pick`);
      return [name, option];
    }),
  );
}

/** The environment variable of an option that has one. */
export function variableOf(option: string): string {
  return `PANAMAX_${option.toUpperCase().replaceAll('-', '_')}`;
}
