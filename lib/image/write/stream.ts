import type { Destination } from './destination.ts';
import { replaceFile, writeChunks } from '../../runtime/file.ts';
import type { RebuiltLayer } from './rebuilt.ts';
import type { ImageRecord } from '../record.ts';

/** Writes the bare layer stream: what `xdelta3 -d` makes. */
export async function writeStream(
  _image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  { path }: Destination,
): Promise<void> {
  await replaceFile(path, (part) => writeChunks(part, concatenated(layers)));
}

async function* concatenated(layers: AsyncIterable<RebuiltLayer>) {
  for await (const layer of layers) yield* layer.tar;
}
