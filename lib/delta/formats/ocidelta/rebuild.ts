import type { Digest } from '../../../digest.ts';
import { createHash } from 'node:crypto';
import { PanamaxError } from '../../../errors.ts';
import { decompressed } from '../../../image/decompress.ts';
import { checkDigest } from '../../../image/write/rebuilt.ts';
import { decodeTarDiff, type OpenSource } from './tardiff/decode.ts';
import type { RandomAccess } from '../../randomaccess.ts';
import { asBadPatch, type DeltaLayer, type OciDelta } from './read.ts';

export interface RebuildSource {
  /** The source's layer stream. */
  readonly stream: RandomAccess;
  /** Its layers, bottom first; sizes in bytes, uncompressed. */
  readonly layers: readonly { readonly diffID: Digest; readonly size: number }[];
  readonly openFile: OpenSource;
}

export interface RebuildOptions {
  /** Size of all layers together at most, in bytes. */
  readonly maxSize: number;
  readonly signal?: AbortSignal;
}

/** A layer as it is rebuilt. Each piece of `tar` is valid only until the next is asked for. */
export interface TargetLayer {
  readonly diffID: Digest;
  /** Fails before its end unless its digest is `diffID`. */
  readonly tar: AsyncIterable<Uint8Array>;
}

const PIECE_SIZE = 256 * 1024;

/**
 * Rebuilds the layers of a delta's target, bottom first. Each has to be read to its end before the next is asked for.
 *
 * @throws PanamaxError `wrong-source` where the source lacks a layer that is reused; `bad-patch`, `limit`
 */
export async function* rebuildLayers(
  delta: OciDelta,
  source: RebuildSource,
  { maxSize, signal }: RebuildOptions,
): AsyncGenerator<TargetLayer, void, void> {
  let left = maxSize;

  async function* checked(layer: DeltaLayer): AsyncGenerator<Uint8Array, void, void> {
    const hash = createHash('sha256');
    try {
      for await (const piece of build(layer)) {
        signal?.throwIfAborted();
        left -= piece.length;
        if (left < 0) throw tooLarge(maxSize, delta.where);
        hash.update(piece);
        yield piece;
      }
    } catch (error) {
      throw asBadPatch(error);
    }
    checkDigest(hash, layer.diffID, delta.where);
  }

  function build(layer: DeltaLayer): AsyncIterable<Uint8Array> {
    const where = `${delta.where} layer ${layer.digest}`;
    if (layer.kind === 'whole') return decompressed(layer.blob(), where);
    if (layer.kind === 'reused') return reused(layer, source, delta.where);
    return decodeTarDiff(layer.blob(), source.openFile, {
      maxSize: left,
      where,
      ...(signal && { signal }),
    });
  }

  for (const layer of delta.layers) yield { diffID: layer.diffID, tar: checked(layer) };
}

async function* reused(
  { diffID }: DeltaLayer,
  { stream, layers }: RebuildSource,
  where: string,
): AsyncGenerator<Uint8Array, void, void> {
  const index = layers.findIndex((layer) => layer.diffID === diffID);
  if (index < 0) {
    throw new PanamaxError('wrong-source', 'the source lacks a layer that the patch takes from it', {
      expected: diffID,
      found: 'none',
      where,
    });
  }
  let position = layers.slice(0, index).reduce((sum, { size }) => sum + size, 0);
  const piece = new Uint8Array(PIECE_SIZE);
  for (const end = position + layers[index]!.size; position < end;) {
    const part = piece.subarray(0, Math.min(PIECE_SIZE, end - position));
    await stream.read(part, position);
    position += part.length;
    yield part;
  }
}

function tooLarge(maxSize: number, where: string): PanamaxError {
  return new PanamaxError('limit', 'patch builds more than it should', {
    expected: `at most ${maxSize} bytes`,
    found: 'more',
    where,
  });
}
