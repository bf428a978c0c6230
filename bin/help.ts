import { EXIT_CODES } from '../lib/errors.ts';
import { variableOf, type Command, type Commands, type Option } from './command.ts';

/** Spellings of an image, for the help of all commands. */
export const IMAGES = `IMAGE is docker://HOST/REPO[:TAG][@DIGEST], or HOST/REPO:TAG if no file has this name; oci:DIR[:TAG],
oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME, containers-storage:NAME, containerd:NAME
or a path.`;

/** The operands and options of a command in short. */
export function usageOf({ operands, options }: Command): string {
  const required = Object.entries(options).filter(([, option]) => option.required);
  const parts = required.map(
    ([name, { short, value = '' }]) => `${short ? `-${short}` : `--${name}`} ${value}`,
  );
  return [...operands, ...parts, '[options]'].join(' ');
}

/** `-o, --output FILE` */
export function namesOf(name: string, { short, value }: Option): string {
  return `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`;
}

/** The text of an option with its default and its variable. */
export function describeOption(name: string, { help, default: preset, env }: Option): string {
  const notes = [...(preset === undefined ? [] : [`default: ${preset}`]), ...(env ? [variableOf(name)] : [])];
  return notes.length > 0 ? `${help} (${notes.join('; ')})` : help;
}

export function formatHelp(name: string, command: Command): string {
  const rows = Object.entries(command.options).map(
    ([option, one]) => `  ${namesOf(option, one).padEnd(28)} ${describeOption(option, one)}`,
  );
  return `${command.summary}\n\nUsage: panamax ${name} ${usageOf(command)}\n\n${rows.join('\n')}\n`;
}

/** The help of the whole program. */
export function formatOverview(commands: Commands): string {
  const lines = commands.map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  const codes = Object.entries(EXIT_CODES).map(([kind, code]) => `${code} ${kind}`);
  return `panamax ships container images as small patches instead of full pulls.

Usage: panamax COMMAND [options]

${lines.join('\n')}

panamax help COMMAND describes a command. Options with a variable may stand in /etc/panamax/config.yaml, too.
${IMAGES}
Exit codes: ${codes.join(', ')}; 0 success.
`;
}
