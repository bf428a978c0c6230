/**
 * encode.ts SOURCE TARGET PATCH FORMAT EFFORT: makes a patch of two layer streams on disk, each with its image's record
 * beside it as `.json`, and verifies it, as the delta stage does. A process of its own, to be measured.
 */
import { readFile } from 'node:fs/promises';
import type { Effort } from '../lib/delta/alignment.ts';
import { createPatch, type UnpackedImage } from '../lib/delta/patch.ts';
import { parseImageRecord } from '../lib/oci/record.ts';
import type { PatchFormat } from '../lib/store/layout.ts';

const [source, target, path, format, effort] = process.argv.slice(2);

await createPatch({
  source: await unpacked(source!),
  target: await unpacked(target!),
  path: path!,
  format: format as PatchFormat,
  effort: effort as Effort,
});

async function unpacked(path: string): Promise<UnpackedImage> {
  const record = parseImageRecord(JSON.parse(await readFile(`${path}.json`, 'utf8')), `${path}.json`);
  return { record, stream: { path, layerSizes: record.layers.map(({ size }) => size) } };
}
