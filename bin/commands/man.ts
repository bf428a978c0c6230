import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { formatCommandManual, formatManual } from '../manual.ts';

export const manCommand: Command = {
  summary: 'Prints the manual page of panamax or of a command.',
  operands: ['[COMMAND]'],
  options: {
    output: { type: 'string', short: 'o', value: 'DIR', help: 'write all pages to this directory instead' },
    ...pick(COMMON, 'help'),
  },
  async run(args, _, all) {
    const commands = await all();
    const pages = new Map([
      ['panamax', formatManual(commands)],
      ...commands.map(([name, command]) => [`panamax-${name}`, formatCommandManual(name, command)] as const),
    ]);
    const output = args.text('output');
    if (output !== undefined) {
      await mkdir(output, { recursive: true });
      for (const [name, page] of pages) await writeFile(join(output, `${name}.1`), page);
      return;
    }
    const [name] = args.operands;
    const page = pages.get(name === undefined ? 'panamax' : `panamax-${name}`);
    if (page === undefined) throw new PanamaxError('usage', 'unknown command', { found: name! });
    process.stdout.write(page);
  },
};
