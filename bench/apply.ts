/**
 * apply.ts SOURCE PATCH OUTPUT: rebuilds a layer stream and verifies it on the way. A process of its own, to be
 * measured. Unlike the command it leaves the flush to disk to the system, as other programs do.
 */
import { open } from 'node:fs/promises';
import { applyPatch, readPatch } from '../lib/delta/patch.ts';
import { writeAll } from '../lib/file.ts';
import { verifyStream } from '../lib/oci/writer.ts';

const [source, patch, output] = process.argv.slice(2);

const recipe = await readPatch(patch!);
await using file = await open(output!, 'w');
await verifyStream(recipe.target, written());

async function* written() {
  for await (const piece of applyPatch(patch!, source!, recipe)) {
    await writeAll(file, piece);
    yield piece;
  }
}
