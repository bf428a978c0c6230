/** Makes and applies tar-diffs of images that are given as layers. */
import { streamInFile, type LayerStream } from '../../lib/image/layerstream.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { alignStreams } from '../../lib/delta/align/alignstreams.ts';
import { decodeTarDiff, type OpenSource } from '../../lib/delta/formats/ocidelta/tardiff/decode.ts';
import { encodeTarDiff } from '../../lib/delta/formats/ocidelta/tardiff/encode.ts';
import { openInStream } from '../../lib/delta/formats/ocidelta/tardiff/sourceaccess.ts';
import { indexSourceFiles, type SourceFiles } from '../../lib/delta/formats/ocidelta/tardiff/sourcefiles.ts';
import { memoryAccess, type RandomAccess } from '../../lib/delta/randomaccess.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { listRootfsFiles } from '../../lib/image/rootfsfiles.ts';
import { createRandom } from './random.ts';
import { type TarFixture } from './tar.ts';

const random = createRandom(1);
const program = random.bytes(60_000);
const text = random.text(20_000);

/** As a recompiled executable is: every few bytes another address, and something new in the middle. */
const recompiled = Buffer.concat([program.subarray(0, 30_000), random.bytes(300), program.subarray(30_000)]);
for (let i = 0; i < recompiled.length; i += 97) recompiled[i]! += 4;

export const BEFORE: TarFixture[] = [
  { path: 'bin/' },
  { path: 'bin/program', content: program, mode: 0o755 },
  { path: 'etc/' },
  { path: 'etc/words', content: text },
  { path: 'etc/empty' },
  { path: 'bin/link', type: 'hardlink', linkPath: 'bin/program' },
  { path: 'bin/alias', type: 'symlink', linkPath: 'program' },
  { path: 'etc/caf\u00c3\u00a9', content: text.slice(5_000, 9_000) },
];
export const AFTER: TarFixture[] = [
  { path: 'bin/', mtime: 5 },
  { path: 'bin/program', content: recompiled, mode: 0o755, mtime: 7 },
  { path: 'etc/' },
  { path: 'etc/words', content: `${text.slice(0, 9_000)}new${text.slice(9_000)}` },
  { path: 'etc/fresh', content: random.bytes(2_000) },
  { path: 'etc/caf\u00c3\u00a9', content: text.slice(5_000, 9_000), mtime: 9 },
];

/** Operations as they stand in a patch. */
export function patchOf(...operations: (number | string | Uint8Array)[]): Buffer {
  const bytes = operations.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part)));
  return Buffer.concat([Buffer.from('tardf1\n\0'), zstdCompressSync(Buffer.concat(bytes))]);
}

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
  const stream = streamInFile(
    path,
    layers.map(({ length }) => length),
  );
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
