/**
 * apply.ts SOURCE PATCH OUTPUT: rebuilds a layer stream and verifies it on the way. A process of its own, to be
 * measured. Unlike the command it leaves the flush to disk to the system, as other programs do.
 */
import { open } from 'node:fs/promises';
import { rebuildLayers } from '../lib/delta/formats/ocidelta/rebuild.ts';
import { openRebuildSource } from '../lib/delta/formats/ocidelta/source.ts';
import { openPatch } from '../lib/delta/patch.ts';
import { applyXdelta } from '../lib/delta/formats/xdelta/read.ts';
import { writeAll } from '../lib/runtime/file.ts';
import { limitMemory } from '../lib/runtime/footprint.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { listRootfsFiles } from '../lib/image/rootfsfiles.ts';
import { verifyStream } from '../lib/image/write/rebuilt.ts';
import { readUnpacked } from './unpacked.ts';

limitMemory();
const [sourcePath, patchPath, output] = process.argv.slice(2);

const limits = DEFAULT_LIMITS;
const patch = await openPatch(patchPath!, limits);
await using file = await open(output!, 'w');
if (patch.format === 'xdelta') {
  await verifyStream(patch.recipe.target, written(applyXdelta(patchPath!, sourcePath!, patch.recipe)));
} else {
  const { stream, record } = (await readUnpacked(sourcePath!)).unpacked;
  const files = await listRootfsFiles(stream, limits);
  await using source = await openRebuildSource(stream, record.layers, files);
  for await (const { tar } of rebuildLayers(patch.delta, source, { maxSize: limits.maxImageSize })) {
    for await (const _ of written(tar));
  }
}

async function* written(pieces: AsyncIterable<Uint8Array>) {
  for await (const piece of pieces) {
    await writeAll(file, piece);
    yield piece;
  }
}
