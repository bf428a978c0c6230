import { PanamaxError } from '../../lib/errors.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { SHELLS } from '../completion.ts';

export const completionCommand: Command = {
  summary: 'Prints a completion script for bash, zsh or fish.',
  operands: ['SHELL'],
  options: pick(COMMON, 'help'),
  async run({ operands }, _, all) {
    const shell = operands[0]!;
    const format = SHELLS.get(shell);
    if (!format) {
      throw new PanamaxError('usage', 'unknown shell', {
        expected: [...SHELLS.keys()].join(', '),
        found: shell,
      });
    }
    process.stdout.write(format(await all()));
  },
};
