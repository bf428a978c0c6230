import { open, stat } from 'node:fs/promises';
import { writing } from '../file.ts';
import type { Limits } from '../limits.ts';
import type { Digest } from '../oci/descriptor.ts';
import type { Layer } from '../oci/image.ts';
import { streamSize, type ImageRecord } from '../oci/record.ts';
import type { RootfsFiles } from '../oci/rootfsfiles.ts';
import type { RootfsTask } from '../oci/rootfsthread.ts';
import { verifyStream } from '../oci/rebuilt.ts';
import type { PatchFormat } from '../store/layout.ts';
import { runThread, threadModule } from '../thread.ts';
import type { Effort, LayerStream } from './alignment.ts';
import { matchInThread } from './match.ts';
import { encodeOciDelta } from './ocidelta/encode.ts';
import { verifyArtifact } from './ocidelta/verify.ts';
import { digestOfFile } from './patch.ts';
import { serializeRecipe, sourceRecord, type Recipe } from './recipe.ts';
import { decodeVcdiff } from './vcdiff/decode.ts';
import { encodeVcdiff } from './vcdiff/encode.ts';
import { blockingAccess } from './vcdiff/randomaccess.ts';
import { readXdelta } from './xdelta.ts';

/** Patches made and verified. Who applies patches loads nothing of this, and what it needs. */

/** An image and its layer stream on scratch. */
export interface UnpackedImage {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Bottom first. */
  readonly layers: readonly Pick<Layer, 'blob'>[];
}

export interface PatchTask {
  readonly source: Pick<UnpackedImage, 'record' | 'stream'>;
  readonly target: UnpackedImage;
  readonly format: PatchFormat;
  /** The file to write. */
  readonly path: string;
  /** A directory for parts of the patch. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}

export interface PatchFile {
  readonly size: number;
  readonly digest: Digest;
}

/** Writes a patch and applies it: what comes out has the target's diffIDs, or this throws. */
export async function createPatch(task: PatchTask): Promise<PatchFile> {
  await (task.format === 'xdelta' ? createXdelta(task) : createOciDelta(task));
  return { size: (await stat(task.path)).size, digest: await digestOfFile(task.path) };
}

async function createOciDelta(task: PatchTask): Promise<void> {
  const { source, target, limits, signal } = task;
  const listing: RootfsTask = { stream: source.stream, limits };
  const module = threadModule('../oci/rootfsthread', import.meta.url);
  const sourceFiles = await runThread<RootfsTask, RootfsFiles>(module, listing, signal);
  await encodeOciDelta({ ...task, sourceFiles, openBlob: (layer) => target.layers[layer]!.blob() });
  await verifyArtifact(task.path, source, limits, signal);
}

/**
 * Writes a patch and applies it as it is written: what comes out has the target's diffIDs, or this throws. While one
 * window is applied, the threads compress those that follow.
 */
async function createXdelta({ source, target, path, effort, signal }: PatchTask): Promise<void> {
  const recipe: Recipe = { source: sourceRecord(source.record), target: target.record };
  const abort = signal && { signal };
  const alignments = await matchInThread(source, target, { effort, ...abort });
  await using sourceFile = await open(source.stream.path);
  await using targetFile = await open(target.stream.path);
  const patch = encodeVcdiff({
    source: await blockingAccess(sourceFile),
    target: await blockingAccess(targetFile),
    alignments,
    appHeader: Buffer.from(serializeRecipe(recipe)),
    effort,
    ...abort,
  });
  const options = { maxTargetSize: streamSize(target.record), ...abort };
  await verifyStream(
    target.record,
    decodeVcdiff(writing(path, patch), await blockingAccess(sourceFile), options),
  );
  await readXdelta(path);
}
