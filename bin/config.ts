import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import { isMissingFile } from '../lib/runtime/file.ts';
import type { Commands, LoadCommands, Option, Options } from './command.ts';
import { COMMANDS } from './commands.ts';
import { findSimilar } from './suggestion.ts';

/** Values of options by name, for options that neither the command line nor the environment gives. */
export type Config = ReadonlyMap<string, readonly string[]>;

/**
 * Reads the configuration file: the one that PANAMAX_CONFIG names, else the first that exists of
 * `$XDG_CONFIG_HOME/panamax/config.yaml` and `/etc/panamax/config.yaml`. It gives values to options that have a
 * variable, for all commands or below the name of one:
 *
 *     store: https://patches.example
 *     verify-key: [/etc/panamax/owner.pub]
 *     pull:
 *       engine: containers-storage
 *
 * @param command name of the command that is to run
 * @throws PanamaxError `bad-input` for anything but such a file; `not-found` or `io` if it cannot be read
 */
export async function readConfig(
  command: string,
  options: Options,
  all: LoadCommands,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Config> {
  const file = await findConfig(env);
  if (!file) return new Map();
  const { parseYaml } = await import('../lib/yaml.ts');
  const { values, section } = select(parseYaml(file.text, file.path), command, file.path);
  // loading all commands takes as long as many a command
  const isOwn = Object.keys(values).every((name) => options[name]?.env);
  const known = isOwn ? options : optionsOf(await all());
  const config = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(values)) {
    const texts = textsOf(name, value, optionOf(name, known, file.path), file.path);
    if (options[name]?.env) config.set(name, texts);
  }
  const where = `${file.path} ${command}`;
  for (const [name, value] of Object.entries(section)) {
    config.set(name, textsOf(name, value, optionOf(name, options, where), where));
  }
  return config;
}

/** The options of all commands by name. */
function optionsOf(commands: Commands): Options {
  const options: Record<string, Option> = {};
  for (const [name, option] of commands.flatMap(([, one]) => Object.entries(one.options))) {
    if (option.env || !Object.hasOwn(options, name)) options[name] = option;
  }
  return options;
}

async function findConfig(env: NodeJS.ProcessEnv): Promise<{ path: string; text: string } | undefined> {
  const named = env['PANAMAX_CONFIG'];
  const own = join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'panamax', 'config.yaml');
  for (const path of named ? [named] : [own, '/etc/panamax/config.yaml']) {
    try {
      return { path, text: await readFile(path, 'utf8') };
    } catch (error) {
      if (named || !isMissingFile(error)) throw toPanamaxError(error, path);
    }
  }
  return undefined;
}

type Values = Readonly<Record<string, unknown>>;

/** Divides the entries into values for all commands and those of one command; sections of other commands are left out. */
function select(document: unknown, command: string, where: string) {
  const values: Record<string, unknown> = {};
  let section: Values = {};
  for (const [name, value] of Object.entries(recordOf(document ?? {}, where))) {
    // some commands have the name of an option, such as --mirror
    const isSection = Object.hasOwn(COMMANDS, name) && typeof value === 'object' && !Array.isArray(value);
    if (!isSection) values[name] = value;
    else if (name === command) section = recordOf(value ?? {}, `${where} ${name}`);
  }
  return { values, section };
}

function recordOf(value: unknown, where: string): Values {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Values;
  throw new PanamaxError('bad-input', 'not a configuration', {
    expected: 'OPTION: VALUE on each line',
    where,
  });
}

function optionOf(name: string, options: Options, where: string): Option {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option?.env) return option;
  if (option) throw new PanamaxError('bad-input', `--${name} has to be on the command line`, { where });
  const configurable = Object.keys(options).filter((one) => options[one]!.env);
  const similar = findSimilar(name, configurable);
  const hint = similar ? ` (did you mean ${similar}?)` : '';
  throw new PanamaxError('bad-input', `unknown option ${name}${hint}`, { where });
}

function textsOf(name: string, value: unknown, { multiple }: Option, where: string): string[] {
  const list = Array.isArray(value) && multiple ? (value as unknown[]) : [value];
  return list.map((one) => {
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return String(one);
    const expected = multiple ? 'a text or a list of texts' : 'a text or a number';
    throw new PanamaxError('bad-input', `the value of ${name}`, { expected, where });
  });
}
