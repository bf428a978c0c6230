/**
 * A format in one object and one entry in the list: the target's whole layer stream behind a magic and a recipe. It
 * passes the tests of every other format, so nothing outside a format's folder and the list has to know its name.
 */
import { createReadStream } from 'node:fs';
import { appendFile, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Patch, PatchFormat } from '../../lib/delta/format.ts';
import { addFormat, DEFAULT_FORMAT } from '../../lib/delta/formats.ts';
import { parseRecipe, serializeRecipe, sourceRecord } from '../../lib/delta/recipe.ts';
import { openSource, streamOf, wrongSource } from '../../lib/delta/source.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { platformOf } from '../../lib/image/record.ts';
import { testFormat } from '../support/formatcontract.ts';

const MAGIC = 'TOY1';
/** Magic and length of the recipe. */
const HEAD = 8;

const toy: PatchFormat = {
  ...DEFAULT_FORMAT,
  name: 'toy',
  suffix: 'toy',
  registry: { kind: 'blob', mediaType: 'application/vnd.panamax.patch.v1.toy' },
  recognizes: (head) => head.toString('latin1', 0, MAGIC.length) === MAGIC,
  async read(path): Promise<Patch> {
    await using file = await open(path);
    const head = Buffer.alloc(HEAD);
    await file.read(head, 0, HEAD, 0);
    const length = head.readUInt32LE(MAGIC.length);
    if (length > 2 ** 20) throw new PanamaxError('bad-patch', 'recipe too long', { where: path });
    const text = Buffer.alloc(length);
    await file.read(text, 0, length, HEAD);
    const { source, target } = parseRecipe(text.toString('latin1'), path);
    return {
      format: 'toy',
      path,
      source,
      target,
      layers: target.layers,
      async apply(task, context) {
        const stream = streamOf(task);
        const found: string[] = [];
        if (stream === undefined) {
          for (const reference of task.sources) {
            const { layers } = await openSource(reference, task, platformOf(target), context);
            found.push(...layers.map(({ diffID }) => diffID));
          }
          for (const { diffID } of source.layers) {
            if (!found.includes(diffID)) throw wrongSource(source.config, diffID, 'none', path);
          }
        }
        return { record: target, stream: createReadStream(path, { start: HEAD + length }) };
      },
    };
  },
  async create({ source, target, path, scratch }) {
    const recipe = Buffer.from(
      serializeRecipe({ source: sourceRecord(source.record), target: target.record }),
    );
    const length = Buffer.alloc(4);
    length.writeUInt32LE(recipe.length);
    await writeFile(join(scratch, 'head'), [Buffer.from(MAGIC), length, recipe]);
    await writeFile(path, await readFile(join(scratch, 'head')), { flag: 'wx' });
    for await (const piece of createReadStream(target.stream.parts[0]!.path))
      await appendFile(path, piece as Buffer);
  },
};

addFormat(toy);
testFormat(toy);
