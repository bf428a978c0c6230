import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAll } from '../../file.ts';
import type { Limits } from '../../limits.ts';
import type { Digest } from '../../oci/descriptor.ts';
import { MEDIA_TYPES, parseManifest } from '../../oci/manifest.ts';
import type { ImageRecord } from '../../oci/record.ts';
import { listRootfsFiles } from '../../oci/rootfsfiles.ts';
import type { Effort, LayerStream } from '../alignment.ts';
import { matchStreams } from '../match.ts';
import { encodeTarDiff } from '../tardiff/encode.ts';
import { indexSourceFiles } from '../tardiff/sourcefiles.ts';
import { fileAccess } from '../vcdiff/randomaccess.ts';
import { writeDeltaArchive, type StoredBlob } from './archive.ts';
import { TAR_DIFF } from './document.ts';

export interface OciDeltaTask {
  readonly source: ImageOnDisk;
  readonly target: ImageOnDisk;
  /** The bytes of a layer of the target as its manifest names them, by its index. */
  readonly openBlob: (layer: number) => AsyncIterable<Uint8Array>;
  /** The file to write. */
  readonly path: string;
  /** A directory for the tar-diffs, which are removed before this returns. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}

export interface ImageOnDisk {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
}

/** Layers that are compressed at the same time: each takes up to 100 MiB. */
const CONCURRENCY = 2;

/** A layer of the target that the source lacks, as a part of the target's layer stream. */
interface NewLayer {
  readonly index: number;
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Bytes and media type of its blob, where it may be carried as it is. */
  readonly whole: { readonly size: number; readonly mediaType: string } | undefined;
}

/**
 * Writes an oci-delta artifact as a tar, as `oci-delta create` does. A layer whose diffID the source has is left
 * out; a gzip layer that is no larger than its tar-diff is carried as it is. The same images give the same bytes.
 */
export async function encodeOciDelta(task: OciDeltaTask): Promise<void> {
  const { source, target, effort, limits, scratch, signal } = task;
  const sourceFiles = indexSourceFiles(await listRootfsFiles(source.stream, limits));
  const alignments = await matchStreams(source.stream, target.stream, {
    effort,
    usable: sourceFiles.usable,
    ...(signal && { signal }),
  });
  await using sourceFile = await open(source.stream.path);
  await using targetFile = await open(target.stream.path);
  const plan = {
    source: await fileAccess(sourceFile),
    target: await fileAccess(targetFile),
    sourceFiles,
    alignments,
    effort,
    ...(signal && { signal }),
  };

  async function encodeLayer({ index, digest, start, end, whole }: NewLayer): Promise<StoredBlob> {
    const path = join(scratch, `layer-${index}.tar-diff`);
    const diff = await writeHashed(path, encodeTarDiff({ ...plan, start, end }));
    if (!whole || diff.size < whole.size) {
      return { ...diff, to: digest, mediaType: TAR_DIFF, open: () => createReadStream(path) };
    }
    return { ...whole, digest, to: digest, open: () => task.openBlob(index) };
  }

  const layers = newLayers(task);
  try {
    const blobs = await mapLargestFirst(layers, encodeLayer);
    const diffIDs = new Set(source.record.layers.map(({ diffID }) => diffID));
    await writeDeltaArchive(task.path, {
      source: source.record,
      targetManifest: Buffer.from(target.record.manifestDocument),
      targetConfig: Buffer.from(target.record.configDocument),
      blobs,
      reused: target.record.layers.filter(({ diffID }) => diffIDs.has(diffID)),
    });
  } finally {
    for (const { index } of layers) await rm(join(scratch, `layer-${index}.tar-diff`), { force: true });
  }
}

function newLayers({ source, target, limits }: OciDeltaTask): NewLayer[] {
  const known = new Set<Digest>(source.record.layers.map(({ diffID }) => diffID));
  const { manifest, manifestDocument, layers } = target.record;
  const descriptors = parseManifest(Buffer.from(manifestDocument), limits, manifest).layers;
  const found: NewLayer[] = [];
  let end = 0;
  for (const [index, { diffID, digest, mediaType }] of layers.entries()) {
    const start = end;
    end += target.stream.layerSizes[index]!;
    if (known.has(diffID)) continue;
    known.add(diffID);
    // `oci-delta import` takes no other compression for a layer that is carried as it is
    const isGzip = digest !== diffID && mediaType.endsWith('gzip');
    const whole = isGzip
      ? { size: descriptors[index]!.size, mediaType: `${MEDIA_TYPES.ociLayer}+gzip` }
      : undefined;
    found.push({ index, digest, start, end, whole });
  }
  return found;
}

/** The results in the order of the layers; the largest starts first, so that none is left alone at the end. */
async function mapLargestFirst(
  layers: readonly NewLayer[],
  encode: (layer: NewLayer) => Promise<StoredBlob>,
): Promise<StoredBlob[]> {
  const results: StoredBlob[] = [];
  const queue = [...layers.keys()].sort((a, b) => size(layers[a]!) - size(layers[b]!));
  async function work(): Promise<void> {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      results[next] = await encode(layers[next]!);
    }
  }
  const workers = await Promise.allSettled(Array.from({ length: CONCURRENCY }, work));
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  return results;
}

const size = ({ start, end }: NewLayer) => end - start;

async function writeHashed(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
): Promise<{ digest: Digest; size: number }> {
  await using file = await open(path, 'wx');
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    size += piece.length;
    await writeAll(file, piece);
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}
