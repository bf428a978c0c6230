import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeChunks } from '../../file.ts';
import type { Limits } from '../../limits.ts';
import type { Digest } from '../../oci/descriptor.ts';
import { MEDIA_TYPES, parseManifest } from '../../oci/manifest.ts';
import type { ImageRecord } from '../../oci/record.ts';
import type { RootfsFiles } from '../../oci/rootfsfiles.ts';
import { layerRanges, type Effort, type LayerStream } from '../alignment.ts';
import { matchInThread } from '../match.ts';
import { encodePart } from '../tardiff/encode.ts';
import { MAGIC } from '../tardiff/format.ts';
import { cutParts, type Part } from '../tardiff/parts.ts';
import { indexSourceFiles } from '../tardiff/sourcefiles.ts';
import { fileAccess } from '../vcdiff/randomaccess.ts';
import { writeDeltaArchive, type StoredBlob } from './archive.ts';
import { TAR_DIFF } from './document.ts';

export interface OciDeltaTask {
  readonly source: ImageOnDisk;
  readonly target: ImageOnDisk;
  /** Of the source's flattened root filesystem, as `listRootfsFiles` lists them. */
  readonly sourceFiles: RootfsFiles;
  /** The bytes of a layer of the target as its manifest names them, by its index. */
  readonly openBlob: (layer: number) => AsyncIterable<Uint8Array>;
  /** The file to write. */
  readonly path: string;
  /** A directory for parts of tar-diffs, which are removed before this returns. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}

export interface ImageOnDisk {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
}

/** Parts of layers that are compressed at the same time: each takes up to 110 MiB. */
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
  const { source, target, effort, scratch, signal } = task;
  const sourceFiles = indexSourceFiles(task.sourceFiles);
  const alignments = await matchInThread(source, target, {
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

  const layers = newLayers(task);
  const parts = layers.flatMap(({ index, start, end }) =>
    cutParts(alignments, start, end).map((part, i) => ({
      ...part,
      layer: index,
      path: join(scratch, `layer-${index}-${i}.zst`),
    })),
  );

  async function* tarDiff(layer: number): AsyncGenerator<Uint8Array, void, void> {
    yield MAGIC;
    for (const part of parts) if (part.layer === layer) yield* createReadStream(part.path);
  }

  async function chooseBlob({ index, digest, whole }: NewLayer): Promise<StoredBlob> {
    const diff = await identityOf(tarDiff(index));
    if (whole && whole.size <= diff.size) {
      return { ...whole, digest, to: digest, open: () => task.openBlob(index) };
    }
    return { ...diff, mediaType: TAR_DIFF, to: digest, open: () => tarDiff(index) };
  }

  try {
    await forEachConcurrently(largestFirst(parts), async (part) => {
      await writeChunks(part.path, encodePart({ ...plan, start: part.start, end: part.end }));
    });
    const diffIDs = new Set(source.record.layers.map(({ diffID }) => diffID));
    const blobs: StoredBlob[] = [];
    for (const layer of layers) blobs.push(await chooseBlob(layer));
    await writeDeltaArchive(task.path, {
      source: source.record,
      targetManifest: Buffer.from(target.record.manifestDocument),
      targetConfig: Buffer.from(target.record.configDocument),
      blobs,
      compressions: target.record.layers.map(({ compression }) => compression),
      reused: target.record.layers.filter(({ diffID }) => diffIDs.has(diffID)),
    });
  } finally {
    for (const { path } of parts) await rm(path, { force: true });
  }
}

function newLayers({ source, target, limits }: OciDeltaTask): NewLayer[] {
  const held = new Set<Digest>(source.record.layers.map(({ diffID }) => diffID));
  /** By what they are compressed: one layer may be there in two ways. */
  const written = new Set<Digest>();
  const { manifest, manifestDocument, layers } = target.record;
  const descriptors = parseManifest(Buffer.from(manifestDocument), limits, manifest).layers;
  const found: NewLayer[] = [];
  for (const [index, { start, end }] of layerRanges(target.stream).entries()) {
    const { diffID, digest, mediaType } = layers[index]!;
    if (held.has(diffID) || written.has(digest)) continue;
    written.add(digest);
    // `oci-delta import` takes no other compression for a layer that is carried as it is
    const isGzip = digest !== diffID && mediaType.endsWith('gzip');
    const whole = isGzip
      ? { size: descriptors[index]!.size, mediaType: `${MEDIA_TYPES.ociLayer}+gzip` }
      : undefined;
    found.push({ index, digest, start, end, whole });
  }
  return found;
}

/** So that none is left alone at the end. */
function largestFirst<Item extends Part>(parts: readonly Item[]): Item[] {
  return parts.toSorted((a, b) => b.end - b.start - (a.end - a.start));
}

async function forEachConcurrently<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  async function drain(): Promise<void> {
    for (const item of queue) await work(item);
  }
  const results = await Promise.allSettled(Array.from({ length: CONCURRENCY }, drain));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function identityOf(pieces: AsyncIterable<Uint8Array>): Promise<{ digest: Digest; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    size += piece.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}
