import type { Digest } from '../../digest.ts';
import { createHash, type Hash } from 'node:crypto';
import { PanamaxError } from '../../errors.ts';
import type { ImageRecord, LayerRecord } from '../record.ts';

/**
 * A layer as it is rebuilt. `tar` fails before its end where it is not what `diffID` says; a piece of it is valid
 * until the next is asked for.
 */
export interface RebuiltLayer extends LayerRecord {
  readonly tar: AsyncIterable<Uint8Array>;
}

/** Reads a stream to its end. @throws PanamaxError `bad-patch` where it is not the image's layer stream */
export async function verifyStream(image: ImageRecord, stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const layer of splitLayers(image, stream)) {
    for await (const _ of layer.tar);
  }
}

/** Cuts a layer stream into its layers. Each has to be read to its end before the next is asked for. */
export async function* splitLayers(
  image: ImageRecord,
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<RebuiltLayer, void, void> {
  const iterator = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();

  async function* take(size: number, diffID: Digest): AsyncGenerator<Uint8Array, void, void> {
    const hash = createHash('sha256');
    for (let left = size; left > 0;) {
      if (rest.length === 0) {
        const next = await iterator.next();
        if (next.done) throw notTheTarget(`${size} bytes`, `${size - left} bytes`, diffID);
        rest = next.value;
        continue;
      }
      const piece = rest.subarray(0, left);
      rest = rest.subarray(piece.length);
      left -= piece.length;
      hash.update(piece);
      if (left === 0) checkDigest(hash, diffID, 'a layer');
      yield piece;
    }
    if (size === 0) checkDigest(hash, diffID, 'a layer');
  }

  try {
    for (const layer of image.layers) yield { ...layer, tar: take(layer.size, layer.diffID) };
    for (let next = { done: false, value: rest } as IteratorResult<Uint8Array>; !next.done;) {
      if (next.value.length > 0) throw notTheTarget('the end', 'more bytes', 'the layer stream');
      next = await iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}

/** @throws PanamaxError `bad-patch` where what has been hashed is not the layer with this diffID */
export function checkDigest(hash: Hash, diffID: Digest, where: string): void {
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffID) throw notTheTarget(diffID, found, where);
}

function notTheTarget(expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('bad-patch', 'what the patch builds is not its target', { expected, found, where });
}
