import type { Destination } from './destination.ts';
import { openEngine } from '../engine/open.ts';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isEngineTransport, type EngineTransport } from '../oci/transport.ts';
import { PanamaxError } from '../../errors.ts';
import { writeArchive, writeDockerArchive } from './archive.ts';
import { canBeExact, exactForm, plainForm, type LayoutForm } from './form.ts';
import { writeLayout } from './layout.ts';
import type { ImageRecord } from '../record.ts';
import { parseReleaseName } from '../oci/releasename.ts';
import { formatReference } from '../oci/reference.ts';
import { splitLayers, type RebuiltLayer } from './rebuilt.ts';
import { writeStream } from './stream.ts';

/** Writes the layers as they come, in order; nothing stands under the destination's name until all is there. */
export type ImageWriter = (
  image: ImageRecord,
  layers: AsyncIterable<RebuiltLayer>,
  destination: Destination,
  form: LayoutForm,
) => Promise<void>;

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
