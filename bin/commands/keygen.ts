import { writeFile } from 'node:fs/promises';
import { PanamaxError } from '../../lib/errors.ts';
import { generateKeys } from '../../lib/store/key.ts';
import { COMMON, type Command } from '../command.ts';
import { printResult } from '../options/session.ts';

export const keygenCommand: Command = {
  summary: 'Generates a pair of keys: NAME.key to sign, NAME.pub for sites to verify.',
  operands: ['NAME'],
  options: COMMON,
  async run(args) {
    const [name] = args.operands;
    const { privateKey, publicKey, id } = generateKeys();
    const files = { privateKey: `${name}.key`, publicKey: `${name}.pub` };
    await writeNew(files.privateKey, privateKey, 0o600);
    await writeNew(files.publicKey, publicKey, 0o644);
    printResult(args, { id, ...files }, `key ${id}: ${files.privateKey} and ${files.publicKey}`);
  },
};

/** Writes a new file. An existing key is never overwritten. */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx', mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new PanamaxError('usage', 'a key with this name exists already', { found: path }, { cause: error });
  }
}
