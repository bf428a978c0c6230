import { createHash, randomUUID, type Hash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openEngine } from '../engine/engine.ts';
import { ENGINE_TRANSPORTS, isEngineTransport, type EngineTransport } from '../engine/transport.ts';
import { PanamaxError } from '../errors.ts';
import { writeArchive, writeDockerArchive } from './archivewriter.ts';
import type { Digest } from './descriptor.ts';
import { canBeExact, exactForm, plainForm, type LayoutForm } from './form.ts';
import { writeLayout } from './layoutwriter.ts';
import type { ImageRecord, LayerRecord } from './record.ts';
import { parseReleaseName } from './releasename.ts';
import { FILE_TRANSPORTS, formatReference, splitTransport, type FileTransport } from './reference.ts';
import { writeStream } from './streamwriter.ts';

/** Where a rebuilt image goes: a file or a directory, an engine, or its bare layer stream to a file. */
export interface Destination {
  readonly transport: FileTransport | EngineTransport | 'stream';
  /** For an engine the image's name. */
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

/**
 * `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME:TAG]`, an engine's transport and a name, or
 * `stream:FILE`.
 */
export function parseDestination(text: string): Destination {
  if (text.startsWith('stream:') && text.length > 'stream:'.length) {
    return { transport: 'stream', path: text.slice('stream:'.length) };
  }
  const reference = splitTransport(text);
  if (reference?.transport === 'docker') {
    throw new PanamaxError('usage', 'no image is written to a registry', { found: text });
  }
  if (reference && isEngineTransport(reference.transport)) {
    const { tag, digest } = parseReleaseName(reference.path);
    if (tag === undefined || digest !== undefined) {
      throw new PanamaxError('usage', 'an engine has images under names', {
        expected: 'NAME:TAG',
        found: text,
      });
    }
  }
  if (reference) return { ...reference, transport: reference.transport };
  throw new PanamaxError('usage', 'destination without a transport', {
    expected: `one of ${DESTINATIONS.map((t) => `${t}:`).join(' ')}`,
    found: text,
  });
}

const DESTINATIONS = [...FILE_TRANSPORTS, ...ENGINE_TRANSPORTS, 'stream'] as const;

const WRITERS: Readonly<Record<Exclude<Destination['transport'], EngineTransport>, ImageWriter>> = {
  oci: writeLayout,
  'oci-archive': writeArchive,
  'docker-archive': writeDockerArchive,
  stream: writeStream,
};

/** Docker itself keeps no manifests. */
const KEEPING: readonly Destination['transport'][] = [
  'oci',
  'oci-archive',
  'containers-storage',
  'containerd',
];

/** In which forms an image keeps its manifest digest, where its record says how its layers were compressed. */
export function keepsManifest(
  image: Parameters<typeof canBeExact>[0],
  { transport }: Pick<Destination, 'transport'>,
): boolean {
  return KEEPING.includes(transport) && canBeExact(image);
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
  options: WriteOptions = {},
): Promise<void> {
  const { transport } = destination;
  if (isEngineTransport(transport)) {
    await loadImage(image, stream, { ...destination, transport }, options);
    return;
  }
  const { isPlain = false } = options;
  const form = keepsManifest(image, destination) && !isPlain ? exactForm(image) : plainForm(image);
  await WRITERS[transport](image, splitLayers(image, stream), destination, form);
}

export interface WriteOptions {
  /** Layers uncompressed, also where they could be compressed as they were. */
  readonly isPlain?: boolean;
  /** A directory for what an engine takes. */
  readonly scratch?: string;
  readonly signal?: AbortSignal;
}

/** An engine takes an archive, all of it or nothing, and has the image then. */
async function loadImage(
  image: ImageRecord,
  stream: AsyncIterable<Uint8Array>,
  destination: Destination & { readonly transport: EngineTransport },
  options: WriteOptions,
): Promise<void> {
  const { scratch, signal } = options;
  const where = formatReference(destination);
  if (scratch === undefined) throw new PanamaxError('internal', 'no scratch for an engine', { where });
  const { repository, tag } = parseReleaseName(destination.path);
  const isExact = keepsManifest(image, destination) && !options.isPlain;
  const path = join(scratch, `load-${randomUUID()}.tar`);
  const archive = {
    transport: isExact ? 'oci-archive' : 'docker-archive',
    path,
    name: destination.transport === 'docker-daemon' ? destination.path : `${repository}:${tag}`,
  } as const;
  try {
    await writeImage(image, stream, archive, options);
    const engine = openEngine(destination.transport, signal && { signal });
    await engine.load(path);
    if ((await engine.list()).some(({ config }) => config === image.config)) return;
    throw new PanamaxError('io', 'the engine has not taken the image', { expected: image.config, where });
  } finally {
    await rm(path, { force: true });
  }
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
