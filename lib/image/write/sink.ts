import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../../errors.ts';
import { openEngine } from '../engine/open.ts';
import { formatReference } from '../oci/reference.ts';
import { parseReleaseName } from '../oci/releasename.ts';
import { isEngineTransport, type EngineTransport } from '../oci/transport.ts';
import type { ImageRecord } from '../record.ts';
import { writeArchive, writeDockerArchive } from './archive.ts';
import type { Destination } from './destination.ts';
import { canBeExact, exactBlobs, plainBlobs, type ImageBlobs } from './imageblobs.ts';
import { writeLayout } from './layout.ts';
import { writeStream } from './stream.ts';

/**
 * Takes an image while it is rebuilt: reads its layer stream to the end, once, and verifies it.
 *
 * @throws PanamaxError `bad-patch` if the stream is not the image's, and errors of writing
 */
export type ImageSink = (image: ImageRecord, stream: AsyncIterable<Uint8Array>) => Promise<void>;

export interface SinkOptions {
  /** Writes layers uncompressed although they could be compressed as they were. */
  readonly isPlain?: boolean;
  /** A directory for the archive that an engine loads. */
  readonly scratch?: string;
  readonly signal?: AbortSignal;
}

/** Writes blobs in order. The destination's name stands for the whole image or for what it did before. */
type BlobWriter = (image: ImageBlobs, path: string, name?: string) => Promise<void>;

const WRITERS: Readonly<Record<Exclude<Destination['transport'], EngineTransport>, BlobWriter>> = {
  oci: writeLayout,
  'oci-archive': writeArchive,
  'docker-archive': writeDockerArchive,
  stream: writeStream,
};

/** Docker and its archives keep no manifests. */
const KEEPS_MANIFEST: readonly Destination['transport'][] = [
  'oci',
  'oci-archive',
  'containers-storage',
  'containerd',
];

/** Whether an image keeps its manifest digest at a destination. */
export function keepsManifest(
  image: Parameters<typeof canBeExact>[0],
  { transport }: Pick<Destination, 'transport'>,
): boolean {
  return KEEPS_MANIFEST.includes(transport) && canBeExact(image);
}

/**
 * A sink that writes to a destination. The image keeps its ID and diffIDs. It keeps its manifest and compressed layers
 * if the destination can hold them, all layers are reproducible and `isPlain` is not set. Otherwise layers are
 * uncompressed. After an error nothing is left.
 */
export function imageSink(destination: Destination, options: SinkOptions = {}): ImageSink {
  const { transport, path, name } = destination;
  if (isEngineTransport(transport)) return engineSink({ ...destination, transport }, options);
  return async (image, stream) => {
    const isExact = keepsManifest(image, destination) && !options.isPlain;
    const blobs = isExact ? exactBlobs(image, stream) : plainBlobs(image, stream);
    await WRITERS[transport](blobs, path, name);
  };
}

/** Writes an archive, then has the engine load it. */
function engineSink(
  destination: Destination & { readonly transport: EngineTransport },
  options: SinkOptions,
): ImageSink {
  const { scratch, signal } = options;
  const where = formatReference(destination);
  if (scratch === undefined) throw new PanamaxError('internal', 'no scratch for an engine', { where });
  const { repository, tag } = parseReleaseName(destination.path);
  const path = join(scratch, `load-${randomUUID()}.tar`);
  return async (image, stream) => {
    const isExact = keepsManifest(image, destination) && !options.isPlain;
    const archive = {
      transport: isExact ? 'oci-archive' : 'docker-archive',
      path,
      name: destination.transport === 'docker-daemon' ? destination.path : `${repository}:${tag}`,
    } as const;
    try {
      await imageSink(archive, options)(image, stream);
      const engine = openEngine(destination.transport, signal && { signal });
      await engine.load(path);
      if ((await engine.list()).some(({ config }) => config === image.config)) return;
      throw new PanamaxError('io', 'the engine has not taken the image', { expected: image.config, where });
    } finally {
      await rm(path, { force: true });
    }
  };
}
