import { readFile } from 'node:fs/promises';
import type { UnpackedImage } from '../lib/delta/patch.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage } from '../lib/oci/image.ts';
import { parseImageRecord } from '../lib/oci/record.ts';

/** An image of the corpus by the path of its layer stream, as `corpus.ts` has unpacked it. */
export async function readUnpacked(path: string): Promise<UnpackedImage> {
  const document = JSON.parse(await readFile(`${path}.json`, 'utf8')) as { layout: string };
  const record = parseImageRecord(document, `${path}.json`);
  const { layers } = await openImage({ transport: 'oci', path: document.layout }, { limits: DEFAULT_LIMITS });
  return { record, layers, stream: { path, layerSizes: record.layers.map(({ size }) => size) } };
}
