import type { LayerStream } from '../../../image/layerstream.ts';
import type { Digest } from '../../../digest.ts';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeChunks } from '../../../runtime/file.ts';
import type { Limits } from '../../../limits.ts';
import type { ImageRecord } from '../../../image/record.ts';
import type { RootfsFiles } from '../../../image/rootfsfiles.ts';
import { createOpenFiles } from '../../../runtime/space.ts';
import { openThread, threadEntry } from '../../../runtime/thread.ts';
import type { Effort } from '../../align/alignment.ts';
import { alignInThread } from '../../align/align.ts';
import { encodePart } from './tardiff/encode.ts';
import { cutParts, type Part } from './tardiff/parts.ts';
import type { OperationsOptions } from './tardiff/operations.ts';
import { indexSourceFiles } from './tardiff/sourcefiles.ts';
import { blockingAccess } from '../../randomaccess.ts';
import { writeDeltaArchive, type StoredBlob } from './archive.ts';
import { TAR_DIFF } from './document.ts';
import { newLayers, type NewLayer } from './newlayers.ts';
import { joinedParts, type TarDiff } from './verify.ts';

const verifyThread = threadEntry<typeof import('./verifythread.ts')>(
  new URL('./verifythread.ts', import.meta.url),
);

export interface OciDeltaTask {
  readonly source: ImageOnDisk;
  readonly target: ImageOnDisk;
  /** The target's record with the compressions of its layers, if they are still looked for. */
  readonly record?: Promise<ImageRecord>;
  /** Of the source's flattened root filesystem, as `listRootfsFiles` lists them. */
  readonly sourceFiles: RootfsFiles;
  /** Opens the bytes of a target layer, as the manifest names them, by its index. */
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

/** Parts of layers that are compressed at the same time. Each takes up to 110 MiB. */
const CONCURRENCY = 2;

/**
 * Writes an oci-delta artifact as a tar, as `oci-delta create` does. A layer whose diffID the source has is left
 * out; a gzip layer that is no larger than its tar-diff is carried as it is. The same images give the same bytes.
 *
 * @returns the tar-diffs that it may hold, which have been applied, by the diffIDs of their layers
 * @throws PanamaxError `bad-patch` where a tar-diff does not build its layer
 */
export async function encodeOciDelta(task: OciDeltaTask): Promise<Map<Digest, TarDiff>> {
  const { source, target, record = target.record, scratch, limits, signal } = task;
  const sourceFiles = indexSourceFiles(task.sourceFiles);
  const alignments = await alignInThread(source, target, {
    effort: task.effort,
    usable: sourceFiles.usable,
    ...(signal && { signal }),
  });
  const layers = newLayers(source.record, target, limits);
  const newTarDiffs = new Map<Digest, NewTarDiff>();
  for (const { index, diffID, start, end } of layers) {
    if (newTarDiffs.has(diffID)) continue;
    const parts = cutParts(alignments, start, end).map((part, i) => ({
      ...part,
      path: join(scratch, `layer-${index}-${i}.zst`),
    }));
    newTarDiffs.set(diffID, { diffID, start, end, parts });
  }
  try {
    const tarDiffs = await writeTarDiffs(
      task,
      { sourceFiles, alignments },
      largestFirst([...newTarDiffs.values()]),
    );
    const held = new Set(source.record.layers.map(({ diffID }) => diffID));
    await writeDeltaArchive(task.path, {
      source: source.record,
      targetManifest: Buffer.from(target.record.manifestDocument),
      targetConfig: Buffer.from(target.record.configDocument),
      blobs: layers.map((layer) => {
        const { parts } = newTarDiffs.get(layer.diffID)!;
        return chooseBlob(layer, { ...tarDiffs.get(layer.diffID)!, parts }, task);
      }),
      compressions: (await record).layers.map(({ compression }) => compression),
      reused: target.record.layers.filter(({ diffID }) => held.has(diffID)),
    });
    return tarDiffs;
  } finally {
    for (const { parts } of newTarDiffs.values())
      for (const { path } of parts) await rm(path, { force: true });
  }
}

/** A tar-diff to write, and the files of its parts. Layers that differ only in compression share one. */
interface NewTarDiff extends Part {
  readonly diffID: Digest;
  readonly parts: readonly (Part & { readonly path: string })[];
}

/** Writes the parts of tar-diffs, and verifies those that are written while it writes others. */
async function writeTarDiffs(
  { source, target, sourceFiles, effort, limits, signal }: OciDeltaTask,
  { sourceFiles: index, alignments }: Pick<OperationsOptions, 'sourceFiles' | 'alignments'>,
  newTarDiffs: readonly NewTarDiff[],
): Promise<Map<Digest, TarDiff>> {
  if (newTarDiffs.length === 0) return new Map();
  using files = createOpenFiles();
  const plan = {
    source: blockingAccess(files.space(source.stream.parts)),
    target: blockingAccess(files.space(target.stream.parts)),
    sourceFiles: index,
    alignments,
    effort,
    ...(signal && { signal }),
  };
  const parts = newTarDiffs.flatMap((newTarDiff) => newTarDiff.parts);
  const written = new Int32Array(new SharedArrayBuffer(4 * parts.length));
  await using verifier = openThread(verifyThread, signal);
  const verified = verifier.call({
    source: source.stream,
    sourceFiles,
    tarDiffs: newTarDiffs.map(({ diffID, parts }) => ({ diffID, parts: parts.map(({ path }) => path) })),
    written,
    limits,
  });
  await forEachConcurrently(
    [...parts.entries()],
    async ([i, { path, start, end }]) => {
      await writeChunks(path, encodePart({ ...plan, start, end }));
      Atomics.store(written, i, 1);
      Atomics.notify(written, i);
    },
    verified,
  );
  return await verified;
}

function chooseBlob(
  { index, digest, whole }: NewLayer,
  { parts, ...tarDiff }: TarDiff & Pick<NewTarDiff, 'parts'>,
  { openBlob }: OciDeltaTask,
): StoredBlob {
  if (whole && whole.size <= tarDiff.size)
    return { ...whole, digest, to: digest, open: () => openBlob(index) };
  const paths = parts.map(({ path }) => path);
  return { ...tarDiff, mediaType: TAR_DIFF, to: digest, open: () => joinedParts(paths) };
}

function largestFirst<Item extends Part>(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => b.end - b.start - (a.end - a.start));
}

/** @param other related work: once it or an item has failed, no further item is started */
async function forEachConcurrently<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
  other: Promise<unknown>,
): Promise<void> {
  const queue = items.values();
  let failed = false;
  other.catch(() => (failed = true));
  async function drain(): Promise<void> {
    for (const item of queue) {
      if (failed) return;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: CONCURRENCY }, drain));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
