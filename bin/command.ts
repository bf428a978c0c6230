import { parseArgs, type ParseArgsOptionDescriptor } from 'node:util';
import { PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS, type Limits } from '../lib/limits.ts';
import type { Platform } from '../lib/image/oci/descriptor.ts';
import { parsePlatformOption } from '../lib/image/oci/platform.ts';
import { parseSize } from './format.ts';

/** An option of a command, with its text in `--help`. */
export interface Option extends ParseArgsOptionDescriptor {
  /** Placeholder of the value in `--help`, for options that take one. */
  readonly value?: string;
  /** For a repeatable option: each use takes one value, and operands may follow it. */
  readonly takesOne?: true;
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

export interface Command {
  readonly summary: string;
  /** The operands and options after the command's name. */
  readonly usage: string;
  readonly options: Options;
  run(args: Arguments, signal: AbortSignal): Promise<void>;
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

const MAX_IMAGE_SIZE = '64G';

/** Options of most commands. */
export const COMMON: Options = {
  json: { type: 'boolean', help: 'print the result as JSON on standard output' },
  platform: {
    type: 'string',
    value: 'OS/ARCH',
    help: 'platform to take from an index (default: that of this machine)',
  },
  'max-image-size': {
    type: 'string',
    value: 'SIZE',
    help: 'refuse images with more uncompressed bytes',
    default: MAX_IMAGE_SIZE,
  },
  'max-expansion': {
    type: 'string',
    value: 'N',
    help: 'refuse layers with more than N uncompressed bytes per byte, beyond the first GiB',
    default: String(DEFAULT_LIMITS.maxExpansion),
  },
  scratch: {
    type: 'string',
    value: 'DIR',
    help: 'directory for uncompressed layers while they are needed (default: TMPDIR)',
  },
  help: { type: 'boolean', short: 'h', help: 'print this help' },
};

/** Selects some options of a shared set. */
export function pick(options: Options, ...names: readonly string[]): Options {
  return Object.fromEntries(names.map((name) => [name, options[name]!]));
}

/** @throws PanamaxError `usage` */
export function parseArguments(argv: readonly string[], options: Options): Arguments {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type, short, multiple, default: preset }]) => [
      name,
      {
        type,
        ...(short === undefined ? {} : { short }),
        ...(multiple === undefined ? {} : { multiple }),
        ...(preset === undefined ? {} : { default: preset }),
      },
    ]),
  );
  const greedy = new Set(
    Object.keys(options).filter((name) => options[name]!.multiple && !options[name]!.takesOne),
  );
  const { values, operands, lists } = parse(argv, config, greedy);
  const text = (name: string) => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  const count = (name: string, preset?: string) => {
    const found = text(name) ?? preset ?? '';
    const number = Number(found);
    if (Number.isSafeInteger(number) && number >= 1) return number;
    throw new PanamaxError('usage', `--${name}`, { expected: 'a whole number from 1', found });
  };
  const platform = text('platform');
  return {
    operands,
    flag: (name) => values[name] === true,
    text,
    list: (name) => lists.get(name) ?? [],
    count: (name) => count(name),
    platform: platform === undefined ? {} : { platform: parsePlatformOption(platform) },
    limits: {
      ...DEFAULT_LIMITS,
      maxImageSize: parseSize(text('max-image-size') ?? MAX_IMAGE_SIZE, '--max-image-size'),
      maxExpansion: count('max-expansion', String(DEFAULT_LIMITS.maxExpansion)),
    },
  };
}

/**
 * Operands after a repeatable option, up to the next option, are further values of it: `--sources A B` has two.
 *
 * @param greedy the options for which that holds
 */
function parse(
  argv: readonly string[],
  options: Record<string, ParseArgsOptionDescriptor>,
  greedy: ReadonlySet<string>,
) {
  try {
    const config = { args: [...argv], options, allowPositionals: true, strict: true, tokens: true } as const;
    const { values, tokens } = parseArgs(config);
    const operands: string[] = [];
    const lists = new Map<string, string[]>();
    let into = operands;
    for (const token of tokens) {
      if (token.kind === 'positional') {
        into.push(token.value);
        continue;
      }
      into = operands;
      if (token.kind === 'option' && options[token.name]?.multiple) {
        const values = lists.get(token.name) ?? [];
        lists.set(token.name, values);
        if (token.value !== undefined) values.push(token.value);
        if (greedy.has(token.name)) into = values;
      }
    }
    return { values, operands, lists };
  } catch (error) {
    throw new PanamaxError('usage', (error as Error).message);
  }
}

export function formatHelp(name: string, { summary, usage, options }: Command): string {
  const rows = Object.entries(options).map(([option, { short, value, help, default: preset }]) => {
    const names = `${short ? `-${short}, ` : ''}--${option}${value ? ` ${value}` : ''}`;
    return `  ${names.padEnd(28)} ${help}${preset === undefined ? '' : ` (default: ${String(preset)})`}`;
  });
  return `${summary}\n\nUsage: panamax ${name} ${usage}\n\n${rows.join('\n')}\n`;
}

/** @throws PanamaxError `usage` */
export function operandCount(args: Arguments, least: number, most: number, usage: string): void {
  const { length } = args.operands;
  if (length >= least && length <= most) return;
  throw new PanamaxError('usage', 'wrong number of operands', { expected: usage, found: length });
}
