import type { LayerStream } from '../../../image/layerstream.ts';
import type { Digest } from '../../../digest.ts';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { PanamaxError } from '../../../errors.ts';
import type { Limits } from '../../../limits.ts';
import { checkDigest } from '../../../image/write/rebuilt.ts';
import type { ImageRecord } from '../../../image/record.ts';
import type { RootfsFiles } from '../../../image/rootfsfiles.ts';
import { decodeTarDiff } from './tardiff/decode.ts';
import { MAGIC } from './tardiff/format.ts';
import { openInStream } from './tardiff/sourceaccess.ts';
import { indexSourceFiles } from './tardiff/sourcefiles.ts';
import { createOpenFiles } from '../../../runtime/space.ts';
import { blockingAccess } from '../../randomaccess.ts';
import { readOciDelta } from './read.ts';
import { rebuildLayers } from './rebuild.ts';

export interface VerifyTask {
  readonly source: LayerStream;
  /** Regular files of the source's flattened root filesystem. */
  readonly sourceFiles: RootfsFiles;
  readonly tarDiffs: readonly {
    /** Of the layer that it has to build. */
    readonly diffID: Digest;
    /** Files of its parts. */
    readonly parts: readonly string[];
  }[];
  /** A flag for each part of each tar-diff, shared with the writing thread: 1 once the part is written. */
  readonly written: Int32Array<SharedArrayBuffer>;
  readonly limits: Limits;
}

/** A tar-diff that has been applied and builds its layer. */
export interface TarDiff {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Applies the tar-diffs of layers, each part as soon as it is written.
 *
 * @returns the tar-diffs by the diffIDs of their layers
 * @throws PanamaxError `bad-patch` for one that does not build its layer
 */
export async function verifyTarDiffs(task: VerifyTask): Promise<Map<Digest, TarDiff>> {
  const { source, sourceFiles, written, limits } = task;
  using files = createOpenFiles();
  const access = blockingAccess(files.space(source.parts));
  const openSource = openInStream(access, indexSourceFiles(sourceFiles));
  const tarDiffs = new Map<Digest, TarDiff>();
  let before = 0;

  async function whenWritten(part: number): Promise<void> {
    await Atomics.waitAsync(written, part, 0).value;
  }

  for (const { diffID, parts } of task.tarDiffs) {
    const first = before;
    before += parts.length;
    const patch = createHash('sha256');
    let size = 0;
    async function* hashed(): AsyncGenerator<Uint8Array, void, void> {
      for await (const piece of joinedParts(parts, (part) => whenWritten(first + part))) {
        patch.update(piece);
        size += piece.length;
        yield piece;
      }
    }
    const layer = createHash('sha256');
    const options = { maxSize: limits.maxImageSize, where: `tar-diff of ${diffID}` };
    for await (const piece of decodeTarDiff(hashed(), openSource, options)) layer.update(piece);
    checkDigest(layer, diffID, options.where);
    tarDiffs.set(diffID, { digest: `sha256:${patch.digest('hex')}`, size });
  }
  return tarDiffs;
}

/** Joins the parts of a tar-diff. Each file is read once its part is `ready`. */
export async function* joinedParts(
  paths: readonly string[],
  ready?: (part: number) => Promise<void>,
): AsyncGenerator<Uint8Array, void, void> {
  yield MAGIC;
  for (const [part, path] of paths.entries()) {
    await ready?.(part);
    yield* createReadStream(path);
  }
}

/**
 * Reads a whole artifact and checks that each layer has its verified tar-diff, is carried whole, or is in the source.
 * Tar-diffs are not applied again.
 *
 * @param tarDiffs that were applied before, by the diffIDs of their layers
 * @throws PanamaxError `bad-patch`, `wrong-source`
 */
export async function verifyArtifact(
  path: string,
  source: { readonly record: Pick<ImageRecord, 'layers'>; readonly stream: LayerStream },
  tarDiffs: ReadonlyMap<Digest, TarDiff>,
  limits: Limits,
  signal?: AbortSignal,
): Promise<void> {
  const delta = await readOciDelta(path, limits);
  for (const layer of delta.layers) {
    if (layer.kind !== 'tar-diff') continue;
    const expected = tarDiffs.get(layer.diffID)?.digest ?? 'none';
    if (layer.stored !== expected) {
      throw new PanamaxError('bad-patch', 'a tar-diff stands for another layer', {
        expected,
        found: layer.stored ?? 'none',
        where: `${path} layer ${layer.digest}`,
      });
    }
    for await (const _ of layer.blob());
  }
  const others = { ...delta, layers: delta.layers.filter(({ kind }) => kind !== 'tar-diff') };
  using files = createOpenFiles();
  const layers = source.record.layers.map(({ diffID }, i) => ({
    diffID,
    size: source.stream.parts[i]!.size,
  }));
  const opened = {
    stream: blockingAccess(files.space(source.stream.parts)),
    layers,
    openFile: () => undefined,
  };
  const options = { maxSize: limits.maxImageSize, ...(signal && { signal }) };
  for await (const { tar } of rebuildLayers(others, opened, options)) for await (const _ of tar);
}
