import type { DeltaSide } from '../lib/delta/task.ts';
import { readFile } from 'node:fs/promises';
import { parseImageRecord } from '../lib/image/record.ts';

/** An image of the corpus by the path of its layer stream, as `corpus.ts` has unpacked it. */
export async function readUnpacked(
  path: string,
): Promise<Required<Pick<DeltaSide, 'reference' | 'unpacked'>>> {
  const document = JSON.parse(await readFile(`${path}.json`, 'utf8')) as { layout: string };
  const record = parseImageRecord(document, `${path}.json`);
  const stream = { path, layerSizes: record.layers.map(({ size }) => size) };
  return { reference: `oci:${document.layout}`, unpacked: { record, stream } };
}
