import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { checkDocumentSize, parseDocument } from '../json.ts';
import type { Limits } from '../limits.ts';
import { replaceFile, statIfThere } from '../runtime/file.ts';
import { openArchive, type Archive } from './archive.ts';
import {
  archiveBlobs,
  directoryBlobs,
  keptBlobs,
  keptName,
  readDocument,
  verified,
  type BlobSource,
} from './blobs.ts';
import { chooseFromLayout, descend, findByConfig } from './choose.ts';
import { decompressed } from './decompress.ts';
import { chooseDockerImage, dockerManifest } from './dockerarchive.ts';
import { openEngine } from './engine/open.ts';
import { type Descriptor, type Platform } from './oci/descriptor.ts';
import {
  isForeign,
  isIndex,
  MEDIA_TYPES,
  parseConfig,
  parseManifest,
  type Manifest,
} from './oci/manifest.ts';
import { checkPlatform } from './oci/platform.ts';
import { formatReference, type Reference } from './oci/reference.ts';
import { parseRegistryName } from './oci/registryname.ts';
import { isEngineTransport, type EngineTransport } from './oci/transport.ts';
import type { FoundManifest, Repository } from './registry/registry.ts';

/** An immutable view of one image for one platform. */
export interface Image {
  /** In skopeo's syntax. */
  readonly reference: string;
  /** Names the image. A classic docker archive has the manifest that skopeo makes for it. */
  readonly manifestDigest: Digest;
  readonly manifestBytes: Buffer;
  readonly manifest: Manifest;
  /** The image ID. */
  readonly configDigest: Digest;
  readonly configBytes: Buffer;
  readonly platform: Platform;
  /** Bottom first. */
  readonly layers: readonly Layer[];
}

export interface Layer {
  readonly descriptor: Descriptor;
  readonly diffID: Digest;
  /** The bytes as stored. They are verified against the descriptor once the stream has been read to its end. */
  blob(): AsyncIterable<Uint8Array>;
  /**
   * The uncompressed tar. It is verified against the diffID once the stream has been read to its end.
   *
   * @param room size from which on it is certain to be refused by the caller, in bytes. Default: any size
   */
  tar(room?: number): AsyncIterable<Uint8Array>;
}

export interface ImageOptions {
  readonly limits: Limits;
  /** The platform to choose from an index. Default: this machine's. */
  readonly platform?: Platform;
  /** A directory for exports of engines and blobs of registries. The caller removes it. */
  readonly scratch?: string;
  /** A cache directory for blobs of registries. Default: `scratch`. */
  readonly blobs?: string;
  readonly signal?: AbortSignal;
}

/**
 * Opens an image and reads its manifest and config. Layers are read when they are asked for.
 *
 * @throws PanamaxError `not-found` for a missing file, tag, platform or blob; `bad-input` for anything but an image
 */
export async function openImage(reference: Reference, options: ImageOptions): Promise<Image> {
  const { transport } = reference;
  if (transport === 'docker') return openFromRegistry(reference, options);
  if (isEngineTransport(transport)) return openFromEngine(transport, reference, options);
  return openFile(reference, options);
}

async function openFile(reference: Reference, options: ImageOptions): Promise<Image> {
  const { transport, path } = reference;
  const info = await statIfThere(path);
  if (!info) throw new PanamaxError('not-found', 'no such image', { found: formatReference(reference) });
  if (transport === 'oci') {
    if (!info.isDirectory()) throw new PanamaxError('bad-input', 'not a directory', { where: path });
    const index = await readIndexFile(path, options.limits);
    return openFromIndex(directoryBlobs(path), index, reference, options);
  }
  if (!info.isFile()) throw new PanamaxError('bad-input', 'not a regular file', { where: path });
  const archive = await openArchive(path, options.limits);
  if (archive.has('manifest.json') && (transport === 'docker-archive' || !archive.has('index.json'))) {
    return openDockerArchive(archive, reference, options);
  }
  if (archive.has('index.json')) {
    const index = await archive.readDocument('index.json');
    return openFromIndex(archiveBlobs(archive), index, reference, options);
  }
  throw new PanamaxError('bad-input', 'neither an OCI archive nor a docker archive', {
    expected: 'index.json or manifest.json',
    where: path,
  });
}

async function openFromRegistry(reference: Reference, options: ImageOptions): Promise<Image> {
  const name = parseRegistryName(reference.path);
  // loaded late: threads open local images only, and the HTTP client is a third of their start
  const { openRepository } = await import('./registry/registry.ts');
  return openRepositoryImage(openRepository(name, options), name.digest ?? name.tag!, reference, options);
}

/** @param manifest a tag, or the digest of a manifest or an index */
export async function openRepositoryImage(
  repository: Repository,
  manifest: string,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const { blobs: directory = options.scratch } = options;
  const kept = (source: BlobSource) => (directory === undefined ? source : keptBlobs(source, directory));
  const manifests = kept({
    where: repository.where,
    open: async (digest) => [
      digest === top.digest ? top.bytes : (await repository.getManifest(digest)).bytes,
    ],
  });
  const top =
    (isDigest(manifest) ? await readKept(directory, manifest, options.limits) : undefined) ??
    (await repository.getManifest(manifest));
  const named = { ...top, size: top.bytes.length };
  const { digest, bytes } = await descend(manifests, { descriptor: () => named }, options);
  const blobs = kept({ where: repository.where, open: async (digest) => repository.openBlob(digest) });
  return imageOf(blobs, digest, bytes, reference, options);
}

/** Reads a manifest or an index from the cache. */
async function readKept(
  directory: string | undefined,
  digest: Digest,
  limits: Limits,
): Promise<FoundManifest | undefined> {
  if (directory === undefined) return undefined;
  const path = join(directory, keptName(digest));
  const info = await statIfThere(path);
  if (!info) return undefined;
  checkDocumentSize(info.size, limits, path);
  const bytes = await readFile(path);
  if (digestOf(bytes) !== digest) return undefined;
  return {
    mediaType: isIndex(bytes, '', path) ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest,
    digest,
    bytes,
  };
}

/** Exports the image once for all calls with the same scratch directory. */
async function openFromEngine(
  transport: EngineTransport,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const { scratch, signal } = options;
  const where = formatReference(reference);
  if (scratch === undefined) {
    throw new PanamaxError('usage', "an engine's image cannot be read here; export it", { found: where });
  }
  const archive = join(scratch, `export-${hexOf(digestOf(where)).slice(0, 16)}.tar`);
  if (!(await statIfThere(archive))) {
    const engine = openEngine(transport, signal && { signal });
    await replaceFile(archive, (part) => engine.export(reference.path, part));
  }
  return { ...(await openFile({ transport: 'docker-archive', path: archive }, options)), reference: where };
}

async function readIndexFile(directory: string, limits: Limits): Promise<Buffer> {
  const path = join(directory, 'index.json');
  const info = await statIfThere(path);
  if (!info?.isFile()) {
    throw new PanamaxError('bad-input', 'not an OCI layout', {
      expected: 'a file index.json',
      where: directory,
    });
  }
  checkDocumentSize(info.size, limits, path);
  return readFile(path);
}

async function openFromIndex(
  blobs: BlobSource,
  index: Uint8Array,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const { digest, bytes } = await chooseFromLayout(blobs, index, reference, options);
  return imageOf(blobs, digest, bytes, reference, options);
}

async function openDockerArchive(
  archive: Archive,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const document = parseDocument(
    await archive.readDocument('manifest.json'),
    `${archive.path} manifest.json`,
  );
  const entry = chooseDockerImage(document, reference);
  const configBytes = await archive.readDocument(entry.config);
  const configDigest = digestOf(configBytes);
  // newer engines embed an OCI layout, which has the image's real manifest
  if (archive.has('index.json')) {
    const blobs = archiveBlobs(archive);
    const index = await archive.readDocument('index.json');
    const found = await findByConfig(blobs, index, configDigest, options);
    if (found) return imageOf(blobs, found.digest, found.bytes, reference, options);
  }
  const { manifestBytes, blobs } = await dockerManifest(archive, entry, configBytes, options.limits);
  return imageOf(blobs, digestOf(manifestBytes), manifestBytes, reference, options);
}

async function imageOf(
  blobs: BlobSource,
  manifestDigest: Digest,
  manifestBytes: Buffer,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const where = `${blobs.where} ${manifestDigest}`;
  const manifest = parseManifest(manifestBytes, options.limits, where);
  const configBytes = await readDocument(blobs, manifest.config, options.limits);
  const config = parseConfig(configBytes, manifest, `${blobs.where} ${manifest.config.digest}`);
  if (options.platform) checkPlatform(config.platform, options.platform, blobs.where);
  return {
    reference: formatReference(reference),
    manifestDigest,
    manifestBytes,
    manifest,
    configDigest: manifest.config.digest,
    configBytes,
    platform: config.platform,
    layers: manifest.layers.map((descriptor, i) =>
      layerOf(blobs, descriptor, config.diffIDs[i]!, options.limits),
    ),
  };
}

function layerOf(blobs: BlobSource, descriptor: Descriptor, diffID: Digest, limits: Limits): Layer {
  const { size } = descriptor;
  const where = `${blobs.where} ${descriptor.digest}`;
  async function* blob() {
    try {
      yield* verified(await blobs.open(descriptor.digest), descriptor, where);
    } catch (error) {
      if (error instanceof PanamaxError && error.kind === 'not-found' && isForeign(descriptor)) {
        throw foreign(descriptor, where, error);
      }
      throw error;
    }
  }
  return {
    descriptor,
    diffID,
    blob,
    tar: (room = Infinity) =>
      verified(decompressed(blob(), where, { limits, size, room }), { digest: diffID }, where),
  };
}

function foreign({ digest, urls = [] }: Descriptor, where: string, cause: Error): PanamaxError {
  const facts = { expected: digest, found: `urls ${urls.join(' ') || 'none'}`, where };
  return new PanamaxError(
    'not-found',
    'layer is foreign (non-distributable), and its bytes are not with the image',
    facts,
    { cause },
  );
}
