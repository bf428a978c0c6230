import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { flush, makeDirectories, partIn, statIfThere, sweepParts } from '../../runtime/file.ts';
import { writeBlobs } from './blobdirectory.ts';
import type { ImageBlobs } from './imageblobs.ts';
import { layoutIndex, LAYOUT_MARKER } from './layoutindex.ts';

/**
 * Writes into an OCI layout directory, which is made if it is missing; its other images stay. A new layout is written
 * under another name and renamed. In an existing layout, which may be a disk of its own, blobs are written to a
 * hidden directory first, then moved; the index that names the image changes last.
 */
export async function writeLayout(image: ImageBlobs, path: string, name?: string): Promise<void> {
  const exists = (await statIfThere(path)) !== undefined;
  const place = exists ? path : dirname(path);
  await makeDirectories(place);
  await sweepParts(place);
  const part = partIn(place);
  try {
    await makeDirectories(part);
    await writeBlobs(image, join(part, 'blobs'));
    await writeFlushed(join(part, 'oci-layout'), LAYOUT_MARKER);
    const index = layoutIndex(image.manifest.descriptor, name, await itemsOf(path));
    await writeFlushed(join(part, 'index.json'), index);
    for (const directory of [join(part, 'blobs'), part]) await flush(directory);
    if (exists) await moveInto(part, path);
    else await rename(part, path);
    await flush(place);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** A renamed file may be empty after a loss of power unless its content was flushed before. */
async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes);
  await flush(path);
}

/** Items of a layout's index.json. Unknown fields are kept. */
async function itemsOf(layout: string): Promise<readonly unknown[]> {
  const path = join(layout, 'index.json');
  if (!(await statIfThere(path))) return [];
  const index = asRecord(parseDocument(await readFile(path), path), path);
  return asArray(index['manifests'], `${path} manifests`);
}

async function moveInto(part: string, layout: string): Promise<void> {
  const blobs = join(layout, 'blobs', 'sha256');
  await makeDirectories(blobs);
  for (const blob of await readdir(join(part, 'blobs', 'sha256'))) {
    await rename(join(part, 'blobs', 'sha256', blob), join(blobs, blob));
  }
  for (const directory of [blobs, join(layout, 'blobs')]) await flush(directory);
  for (const file of ['oci-layout', 'index.json']) await rename(join(part, file), join(layout, file));
}
