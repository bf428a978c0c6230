import type { DeltaSide } from '../lib/delta/task.ts';
import { readFile } from 'node:fs/promises';
import { streamInFile, type LayerStream } from '../lib/image/layerstream.ts';
import { parseImageRecord } from '../lib/image/record.ts';

/** Reads an image that `corpus.ts` unpacked, by the path of its layer stream. */
export async function readUnpacked(
  path: string,
): Promise<Required<Pick<DeltaSide, 'reference' | 'unpacked'>>> {
  const document = JSON.parse(await readFile(`${path}.json`, 'utf8')) as { layout: string };
  const record = parseImageRecord(document, `${path}.json`);
  const stream = streamInFile(
    path,
    record.layers.map(({ size }) => size),
  );
  return { reference: `oci:${document.layout}`, unpacked: { record, stream } };
}

/** The file of a layer stream that `corpus.ts` unpacked. */
export function fileOf({ parts }: LayerStream): string {
  return parts[0]!.path;
}
