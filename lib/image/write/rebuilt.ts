import { createHash, type Hash } from 'node:crypto';
import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import type { ImageRecord, LayerRecord } from '../record.ts';

/**
 * A layer while it is rebuilt. `tar` fails before its last piece if the bytes do not match `diffID`. A piece is valid
 * until the next one is requested.
 */
export interface RebuiltLayer extends LayerRecord {
  readonly tar: AsyncIterable<Uint8Array>;
}

/** Reads a stream to its end. @throws PanamaxError `bad-patch` if it is not the image's layer stream */
export async function verifyStream(image: ImageRecord, stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const { tar } of splitLayers(image, stream)) {
    for await (const _ of tar);
  }
}

/**
 * Cuts a layer stream into layers, bottom first. If a layer has not been read to its end when the next one is
 * requested, its remaining bytes are read and verified first.
 */
export async function* splitLayers(
  image: ImageRecord,
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<RebuiltLayer, void, void> {
  const iterator = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();

  /** Yields the bytes of a layer that have not been read yet. */
  async function* take(layer: UnreadLayer): AsyncGenerator<Uint8Array, void, void> {
    while (layer.left > 0) {
      if (rest.length === 0) {
        const next = await iterator.next();
        const { size, left, diffID } = layer;
        if (next.done) throw notTheTarget(`${size} bytes`, `${size - left} bytes`, diffID);
        rest = next.value;
        continue;
      }
      const piece = rest.subarray(0, layer.left);
      rest = rest.subarray(piece.length);
      layer.left -= piece.length;
      layer.hash.update(piece);
      if (layer.left === 0) checkDigest(layer.hash, layer.diffID, 'a layer');
      yield piece;
    }
    if (layer.size === 0) checkDigest(createHash('sha256'), layer.diffID, 'a layer');
  }

  try {
    for (const layer of image.layers) {
      const unread = { ...layer, left: layer.size, hash: createHash('sha256') };
      yield { ...layer, tar: take(unread) };
      for await (const _ of take(unread));
    }
    for (let next = { done: false, value: rest } as IteratorResult<Uint8Array>; !next.done;) {
      if (next.value.length > 0) throw notTheTarget('the end', 'more bytes', 'the layer stream');
      next = await iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}

interface UnreadLayer {
  readonly diffID: Digest;
  readonly size: number;
  readonly hash: Hash;
  /** Unread bytes. */
  left: number;
}

/** @throws PanamaxError `bad-patch` if the hashed bytes are not the layer with this diffID */
export function checkDigest(hash: Hash, diffID: Digest, where: string): void {
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffID) throw notTheTarget(diffID, found, where);
}

function notTheTarget(expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('bad-patch', 'what the patch builds is not its target', { expected, found, where });
}
