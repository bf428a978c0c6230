import { writeFile } from 'node:fs/promises';
import { PanamaxError } from '../../lib/errors.ts';
import { generateKeys } from '../../lib/store/key.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { printResult } from '../options/session.ts';

const USAGE = 'NAME [options]';

export const keygenCommand: Command = {
  summary: 'Makes a pair of keys: NAME.key to sign with, NAME.pub for sites to verify with.',
  usage: USAGE,
  options: COMMON,
  async run(args) {
    operandCount(args, 1, 1, USAGE);
    const [name] = args.operands;
    const { privateKey, publicKey, id } = generateKeys();
    const files = { privateKey: `${name}.key`, publicKey: `${name}.pub` };
    await writeNew(files.privateKey, privateKey, 0o600);
    await writeNew(files.publicKey, publicKey, 0o644);
    printResult(args, { id, ...files }, `key ${id}: ${files.privateKey} and ${files.publicKey}`);
  },
};

/** A key is never written over. */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx', mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new PanamaxError('usage', 'there is a key of this name already', { found: path }, { cause: error });
  }
}
