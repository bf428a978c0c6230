/** Makes and applies tar-diffs of images that are given as layers. */
import type { LayerStream } from '../../lib/image/layerstream.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alignStreams } from '../../lib/delta/align/alignstreams.ts';
import { decodeTarDiff, type OpenSource } from '../../lib/delta/formats/ocidelta/tardiff/decode.ts';
import { encodeTarDiff } from '../../lib/delta/formats/ocidelta/tardiff/encode.ts';
import { openInStream } from '../../lib/delta/formats/ocidelta/tardiff/sourceaccess.ts';
import { indexSourceFiles, type SourceFiles } from '../../lib/delta/formats/ocidelta/tardiff/sourcefiles.ts';
import { memoryAccess, type RandomAccess } from '../../lib/delta/randomaccess.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { listRootfsFiles } from '../../lib/image/rootfsfiles.ts';

export interface Stored {
  readonly stream: LayerStream;
  readonly bytes: Buffer;
  readonly access: RandomAccess;
  readonly files: SourceFiles;
  readonly openFile: OpenSource;
}

/** Writes a layer stream and lists the files of its flattened image. */
export async function store(directory: string, name: string, layers: readonly Uint8Array[]): Promise<Stored> {
  const path = join(directory, name);
  const bytes = Buffer.concat(layers);
  await writeFile(path, bytes);
  const stream = { path, layerSizes: layers.map((layer) => layer.length) };
  const files = indexSourceFiles(await listRootfsFiles(stream, DEFAULT_LIMITS));
  const access = memoryAccess(bytes);
  return { stream, bytes, access, files, openFile: openInStream(access, files) };
}

/** One tar-diff for all layers of the target. */
export async function diff(source: Stored, target: Stored): Promise<Buffer> {
  const alignments = await alignStreams(source.stream, target.stream, { usable: source.files.usable });
  return collect(
    encodeTarDiff({
      source: source.access,
      target: target.access,
      sourceFiles: source.files,
      alignments,
      start: 0,
      end: target.bytes.length,
      effort: 'default',
    }),
  );
}

export function apply(patch: Uint8Array, openFile: OpenSource, maxSize: number): Promise<Buffer> {
  return collect(decodeTarDiff(inPieces(patch), openFile, { maxSize, where: 'patch' }));
}

/** A piece is valid only until the next one is requested. */
export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}
