import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asRecord, asSize, parseDocument } from '../../json.ts';
import { makeDirectories, replaceFile } from '../../runtime/file.ts';
import { checkSequence, type NameRecord } from '../../store/name.ts';

/**
 * Refuses a name record of the future, and one that is older than one that the site has accepted, and records its sequence. Otherwise an old
 * copy of a store, whose signatures are valid, could bring an old release back.
 *
 * @param directory the site's state directory
 * @throws PanamaxError `untrusted`
 */
export async function acceptName(directory: string, record: NameRecord, { keep = true } = {}): Promise<void> {
  checkSequence(record, record.name);
  const names = join(directory, 'names');
  const path = join(names, `${hexOf(digestOf(`${record.name} ${record.platform}`))}.json`);
  const accepted = await readSequence(path);
  if (record.sequence < accepted) {
    throw new PanamaxError(
      'untrusted',
      `an older image under the name ${record.name} than was accepted before`,
      {
        expected: `sequence ${accepted} or later`,
        found: record.sequence,
        where: path,
      },
    );
  }
  if (!keep || record.sequence === accepted) return;
  await makeDirectories(names, 0o700);
  const { name, platform, sequence, target } = record;
  const text = `${JSON.stringify({ name, platform, sequence, target }, null, 2)}\n`;
  await replaceFile(path, (part) => writeFile(part, text));
}

async function readSequence(path: string): Promise<number> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  return bytes ? asSize(asRecord(parseDocument(bytes, path), path)['sequence'], path) : 0;
}
