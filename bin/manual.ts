import { EXIT_CODES } from '../lib/errors.ts';
import { findBuild } from './build.ts';
import type { Command, Commands } from './command.ts';
import { describeOption, IMAGES, usageOf } from './help.ts';

/** Manual pages in the macros of man(7), made of the table of options. */

/** The page panamax(1). */
export function formatManual(commands: Commands): string {
  const list = commands.map(
    ([name, { summary }]) => `.TP\n.BR panamax\\-${escape(name)} (1)\n${escape(summary)}`,
  );
  return [
    header('panamax'),
    '.SH NAME\npanamax \\- container images as small patches instead of full pulls',
    '.SH SYNOPSIS\n.B panamax\n.I COMMAND\n[\\fIoptions\\fR]',
    `.SH COMMANDS\n${list.join('\n')}`,
    `.SH IMAGES\n${escape(IMAGES)}`,
    exitStatus(),
    '',
  ].join('\n');
}

/** The page panamax-NAME(1) of a command. */
export function formatCommandManual(name: string, command: Command): string {
  const options = Object.entries(command.options).map(([option, one]) => {
    const value = one.value ? ` \\fI${escape(one.value)}\\fR` : '';
    const short = one.short ? `\\fB\\-${one.short}\\fR, ` : '';
    return `.TP\n${short}\\fB\\-\\-${escape(option)}\\fR${value}\n${escape(describeOption(option, one))}`;
  });
  return [
    header(`panamax-${name}`),
    `.SH NAME\npanamax\\-${escape(name)} \\- ${escape(command.summary)}`,
    `.SH SYNOPSIS\n.B panamax ${escape(name)}\n${escape(usageOf(command))}`,
    `.SH OPTIONS\n${options.join('\n')}`,
    exitStatus(),
    '.SH SEE ALSO\n.BR panamax (1)',
    '',
  ].join('\n');
}

function header(title: string): string {
  return `.TH ${escape(title.toUpperCase())} 1 "" "panamax ${findBuild().version}" "panamax"`;
}

function exitStatus(): string {
  const rows = Object.entries(EXIT_CODES).map(([kind, code]) => `.TP\n.B ${code}\n${escape(kind)}`);
  return `.SH EXIT STATUS\n.TP\n.B 0\nsuccess\n${rows.join('\n')}`;
}

/** A line that begins with a dot or an apostrophe would be a request to troff. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^(?=[.'])/gm, '\\&');
}
