import { createHash, type Hash } from 'node:crypto';
import { PanamaxError } from '../errors.ts';
import { writeArchive, writeDockerArchive } from './archivewriter.ts';
import type { Digest } from './descriptor.ts';
import { canBeExact, exactForm, plainForm, type LayoutForm } from './form.ts';
import { writeLayout } from './layoutwriter.ts';
import type { ImageRecord, LayerRecord } from './record.ts';
import { splitTransport, TRANSPORTS, type Transport } from './reference.ts';
import { writeStream } from './streamwriter.ts';

/** Where a rebuilt image goes: an image of one of the transports, or its bare layer stream. */
export interface Destination {
  readonly transport: Transport | 'stream';
  readonly path: string;
  readonly name?: string;
}

/**
 * A layer as it is rebuilt. `tar` fails before its end where it is not what `diffID` says; a piece of it is valid
 * until the next is asked for.
 */
export interface RebuiltLayer extends LayerRecord {
  readonly tar: AsyncIterable<Uint8Array>;
}

/** Writes the layers as they come, in order; nothing stands under the destination's name until all is there. */
export type ImageWriter = (
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  destination: Destination,
  form: LayoutForm,
) => Promise<void>;

/** `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME:TAG]` or `stream:FILE`. */
export function parseDestination(text: string): Destination {
  if (text.startsWith('stream:') && text.length > 'stream:'.length) {
    return { transport: 'stream', path: text.slice('stream:'.length) };
  }
  const reference = splitTransport(text);
  if (reference) return reference;
  throw new PanamaxError('usage', 'destination without a transport', {
    expected: `one of ${TRANSPORTS.map((t) => `${t}:`).join(' ')} stream:`,
    found: text,
  });
}

const WRITERS: Readonly<Record<Destination['transport'], ImageWriter>> = {
  oci: writeLayout,
  'oci-archive': writeArchive,
  'docker-archive': writeDockerArchive,
  stream: writeStream,
};

/** In which forms an image keeps its manifest digest, where its record says how its layers were compressed. */
export function keepsManifest(image: ImageRecord, { transport }: Destination): boolean {
  return (transport === 'oci' || transport === 'oci-archive') && canBeExact(image);
}

/**
 * Writes an image from its layer stream. The image keeps its ID and diffIDs; layouts keep the manifest, with the layers
 * compressed as they were, where that can be and no plain layers are asked for. Else layers are uncompressed.
 *
 * @throws PanamaxError `bad-patch` where the stream is not the image's, and whatever writing throws; then
 *   nothing is left behind
 */
export async function writeImage(
  image: ImageRecord,
  stream: AsyncIterable<Uint8Array>,
  destination: Destination,
  { isPlain = false }: { readonly isPlain?: boolean } = {},
): Promise<void> {
  const form = keepsManifest(image, destination) && !isPlain ? exactForm(image) : plainForm(image);
  await WRITERS[destination.transport](image, splitLayers(image, stream), destination, form);
}

/** Reads a stream to its end. @throws PanamaxError `bad-patch` where it is not the image's layer stream */
export async function verifyStream(image: ImageRecord, stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const layer of splitLayers(image, stream)) {
    for await (const _ of layer.tar);
  }
}

/** Cuts a layer stream into its layers. Each has to be read to its end before the next is asked for. */
async function* splitLayers(
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
      if (left === 0) checkDigest(hash, diffID);
      yield piece;
    }
    if (size === 0) checkDigest(hash, diffID);
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

function checkDigest(hash: Hash, diffID: Digest): void {
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffID) throw notTheTarget(diffID, found, 'a layer');
}

function notTheTarget(expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('bad-patch', 'what the patch builds is not its target', { expected, found, where });
}
