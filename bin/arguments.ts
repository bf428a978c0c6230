import { parseArgs } from 'node:util';
import { parsePlatformOption } from '../lib/image/oci/platform.ts';
import { PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import type { Config } from './config.ts';
import { MAX_IMAGE_SIZE, variableOf, type Arguments, type Command, type Options } from './command.ts';
import { parseSize } from './format.ts';
import { findSimilar } from './suggestion.ts';

/**
 * Parses a command line. Options that are not on it are taken from the environment, then from the configuration file,
 * then from their defaults.
 *
 * @throws PanamaxError `usage`
 */
export function parseArguments(
  argv: readonly string[],
  options: Options,
  env: NodeJS.ProcessEnv = process.env,
  config: Config = new Map(),
): Arguments {
  const { operands, values } = parse(argv, options);
  for (const [name, option] of Object.entries(options)) {
    const variable = option.env ? env[variableOf(name)] : undefined;
    if (values.has(name)) continue;
    if (variable) values.set(name, option.multiple ? variable.split(',').filter(Boolean) : [variable]);
    else if (config.has(name)) values.set(name, [...config.get(name)!]);
  }
  const text = (name: string) => values.get(name)?.at(-1) ?? options[name]?.default;
  const platform = text('platform');
  const count = (name: string, preset = '') => {
    const number = Number(text(name) ?? preset);
    if (Number.isSafeInteger(number) && number >= 1) return number;
    throw new PanamaxError('usage', `--${name}`, {
      expected: 'a whole number from 1',
      found: text(name) ?? '',
    });
  };
  return {
    operands,
    flag(name) {
      const found = values.get(name)?.at(-1) ?? String(values.has(name));
      if (found === 'true' || found === 'false') return found === 'true';
      throw new PanamaxError('usage', variableOf(name), { expected: 'true or false', found });
    },
    text,
    list: (name) => values.get(name) ?? [],
    count,
    platform: platform === undefined ? {} : { platform: parsePlatformOption(platform) },
    limits: {
      ...DEFAULT_LIMITS,
      maxImageSize: parseSize(text('max-image-size') ?? MAX_IMAGE_SIZE, '--max-image-size'),
      maxExpansion: count('max-expansion', String(DEFAULT_LIMITS.maxExpansion)),
    },
  };
}

/** Operands after a repeatable option, up to the next option, are further values of it: `--sources A B` has two. */
function parse(argv: readonly string[], options: Options) {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }) },
    ]),
  );
  // the parser's own messages for wrong options name no alternative
  const { tokens } = parseArgs({ args: [...argv], options: config, strict: false, tokens: true });
  const operands: string[] = [];
  const values = new Map<string, string[]>();
  let into = operands;
  for (const token of tokens) {
    if (token.kind === 'positional') {
      into.push(token.value);
      continue;
    }
    into = operands;
    if (token.kind === 'option-terminator') continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name]! : undefined;
    if (!option) throw unknownOption(token.rawName, options);
    const given = values.get(token.name) ?? [];
    values.set(token.name, given);
    if (option.type === 'boolean') {
      if (token.value !== undefined) throw new PanamaxError('usage', `${token.rawName} takes no value`);
      continue;
    }
    const isNext = token.inlineValue === false && /^-./.test(token.value);
    if (isNext || (token.value === undefined && !option.multiple)) {
      throw new PanamaxError('usage', `${token.rawName} needs a value`, {
        expected: option.value ?? 'VALUE',
      });
    }
    if (token.value !== undefined) given.push(token.value);
    if (option.multiple && !option.takesOne) into = given;
  }
  return { operands, values };
}

function unknownOption(name: string, options: Options): PanamaxError {
  const similar = findSimilar(name.replace(/^--?/, ''), Object.keys(options));
  return new PanamaxError('usage', `unknown option ${name}${similar ? `; did you mean --${similar}?` : ''}`);
}

/**
 * Refuses a command line with too few or too many operands, or without a required option.
 *
 * @throws PanamaxError `usage`
 */
export function checkArguments({ operands, options }: Command, args: Arguments): void {
  const least = operands.filter((operand) => !operand.startsWith('[')).length;
  const most = operands.some((operand) => operand.includes('...')) ? Infinity : operands.length;
  const missing = [
    ...(args.operands.length < least ? operands.filter((operand) => !operand.startsWith('[')) : []),
    ...Object.entries(options)
      .filter(([option, { required }]) => required && args.list(option).length === 0)
      .map(([option, { value }]) => `--${option} ${value ?? ''}`.trimEnd()),
  ];
  if (missing.length > 0) throw new PanamaxError('usage', `needs ${listed(missing)}`);
  if (args.operands.length <= most) return;
  const takes = operands.length === 0 ? 'no operands' : listed(operands);
  throw new PanamaxError('usage', `takes ${takes}`, { found: args.operands.slice(most).join(' ') });
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)!}`;
}
