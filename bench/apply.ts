/**
 * apply.ts SOURCE PATCH OUTPUT: rebuilds and verifies a layer stream. It is a separate process, so that it can be measured.
 * Unlike the command it does not flush to disk, since the compared programs do not.
 */
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { rebuildLayers } from '../lib/delta/formats/ocidelta/rebuild.ts';
import { openRebuildSource } from '../lib/delta/formats/ocidelta/source.ts';
import { formatOfFile } from '../lib/delta/patch.ts';
import { readOciDelta } from '../lib/delta/formats/ocidelta/read.ts';
import { native } from '../lib/delta/formats/native/format.ts';
import { applyNative, readNative } from '../lib/delta/formats/native/read.ts';
import { xdelta } from '../lib/delta/formats/xdelta/format.ts';
import { applyXdelta, readXdelta } from '../lib/delta/formats/xdelta/read.ts';
import { writeAll } from '../lib/runtime/file.ts';
import { limitMemory } from '../lib/runtime/footprint.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { listRootfsFiles } from '../lib/image/rootfsfiles.ts';
import { verifyStream } from '../lib/image/write/rebuilt.ts';
import { readUnpacked } from './unpacked.ts';

limitMemory();
const [sourcePath, patchPath, output] = process.argv.slice(2);

const limits = DEFAULT_LIMITS;
await using file = await open(output!, 'w');
const format = await formatOfFile(patchPath!);
if (format === xdelta) {
  const recipe = await readXdelta(patchPath!);
  await verifyStream(recipe.target, written(applyXdelta(patchPath!, sourcePath!, recipe)));
} else if (format === native) {
  const recipe = await readNative(patchPath!);
  await using scratch = await createScratch(dirname(output!));
  await verifyStream(recipe.target, written(applyNative(patchPath!, sourcePath!, recipe, scratch.path)));
} else {
  const { stream, record } = (await readUnpacked(sourcePath!)).unpacked;
  const delta = await readOciDelta(patchPath!, limits);
  const files = await listRootfsFiles(stream, limits);
  await using source = await openRebuildSource(sourcePath!, stream, record.layers, files);
  for await (const { tar } of rebuildLayers(delta, source, { maxSize: limits.maxImageSize })) {
    for await (const _ of written(tar));
  }
}

async function* written(pieces: AsyncIterable<Uint8Array>) {
  for await (const piece of pieces) {
    await writeAll(file, piece);
    yield piece;
  }
}
