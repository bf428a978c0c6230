import type { Limits } from '../../limits.ts';
import type { ImageRecord } from '../../oci/record.ts';
import type { RootfsFiles } from '../../oci/rootfsfiles.ts';
import { runThread, threadModule } from '../../thread.ts';
import type { LayerStream } from '../alignment.ts';
import { readOciDelta } from './read.ts';
import { rebuildLayers } from './rebuild.ts';
import { openRebuildSource } from './source.ts';

export interface VerifyTask {
  /** The artifact. */
  readonly path: string;
  readonly source: { readonly record: Pick<ImageRecord, 'layers'>; readonly stream: LayerStream };
  /** Regular files of the source's flattened root filesystem. */
  readonly sourceFiles: RootfsFiles;
  readonly limits: Limits;
}

/** A part of the work: layers of the target, by their indices. */
export interface VerifyShare extends VerifyTask {
  readonly layers: readonly number[];
}

const THREADS = 2;
/** A share with less to build, in bytes, is not worth a thread. */
const MIN_SHARE = 2 ** 25;

/**
 * Applies an artifact, its layers shared out to threads.
 *
 * @param sizes of the target's layers, bottom first
 * @throws PanamaxError `bad-patch` unless all that comes out has the diffIDs of the target
 */
export async function verifyOciDelta(
  task: VerifyTask,
  sizes: readonly number[],
  signal?: AbortSignal,
): Promise<void> {
  const [first, ...others] = shareOut(sizes);
  const module = threadModule('verifythread', import.meta.url);
  const elsewhere = others.map((layers) => runThread<VerifyShare, void>(module, { ...task, layers }, signal));
  await Promise.all([verifyLayers({ ...task, layers: first! }, signal), ...elsewhere]);
}

/** The largest first, each to who has least. */
function shareOut(sizes: readonly number[]): number[][] {
  const shares = Array.from({ length: THREADS }, () => ({ size: 0, layers: [] as number[] }));
  for (const layer of [...sizes.keys()].toSorted((a, b) => sizes[b]! - sizes[a]!)) {
    const least = shares.reduce((one, other) => (other.size < one.size ? other : one));
    least.layers.push(layer);
    least.size += sizes[layer]!;
  }
  const isWorthIt = shares.every(({ size }) => size >= MIN_SHARE);
  return isWorthIt ? shares.map(({ layers }) => layers) : [[...sizes.keys()]];
}

export async function verifyLayers(
  { path, source, sourceFiles, limits, layers }: VerifyShare,
  signal?: AbortSignal,
): Promise<void> {
  const delta = await readOciDelta(path, limits);
  const mine = { ...delta, layers: delta.layers.filter((_, i) => layers.includes(i)) };
  await using opened = await openRebuildSource(source.stream, source.record.layers, sourceFiles);
  const options = { maxSize: limits.maxImageSize, ...(signal && { signal }) };
  for await (const { tar } of rebuildLayers(mine, opened, options)) for await (const _ of tar);
}
