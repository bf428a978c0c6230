import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { asRecord, checkDocumentSize, parseDocument } from '../json.ts';
import type { Limits } from '../limits.ts';
import { replaceFile } from '../runtime/file.ts';
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
import { decompressed } from './decompress.ts';
import { chooseDockerImage, dockerManifest } from './dockerarchive.ts';
import { openEngine } from './engine/open.ts';
import { type Descriptor, type Platform } from './oci/descriptor.ts';
import {
  isIndex,
  MEDIA_TYPES,
  parseConfig,
  parseIndex,
  parseManifest,
  type Manifest,
} from './oci/manifest.ts';
import { checkPlatform, choosePlatform, machinePlatform } from './oci/platform.ts';
import { formatReference, type Reference } from './oci/reference.ts';
import { parseRegistryName } from './oci/registryname.ts';
import { isEngineTransport, type EngineTransport } from './oci/transport.ts';
import { openRepository, type FoundManifest, type Repository } from './registry/registry.ts';

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
  /** The uncompressed tar. It is verified against the diffID once the stream has been read to its end. */
  tar(): AsyncIterable<Uint8Array>;
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

const MAX_INDEX_DEPTH = 4;
const REF_NAMES = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];

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
  const { transport, path, name } = reference;
  const info = await stat(path).catch(() => undefined);
  if (!info) throw new PanamaxError('not-found', 'no such image', { found: formatReference(reference) });
  if (transport === 'oci') {
    if (!info.isDirectory()) throw new PanamaxError('bad-input', 'not a directory', { where: path });
    const index = await readIndexFile(path, options.limits);
    return openFromIndex(directoryBlobs(path), index, name, reference, options);
  }
  if (!info.isFile()) throw new PanamaxError('bad-input', 'not a regular file', { where: path });
  const archive = await openArchive(path, options.limits);
  if (archive.has('manifest.json') && (transport === 'docker-archive' || !archive.has('index.json'))) {
    return openDockerArchive(archive, reference, options);
  }
  if (archive.has('index.json')) {
    const index = await archive.readDocument('index.json');
    return openFromIndex(archiveBlobs(archive), index, name, reference, options);
  }
  throw new PanamaxError('bad-input', 'neither an OCI archive nor a docker archive', {
    expected: 'index.json or manifest.json',
    where: path,
  });
}

async function openFromRegistry(reference: Reference, options: ImageOptions): Promise<Image> {
  const name = parseRegistryName(reference.path);
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
  const chosen = await resolvePlatform(manifests, [{ ...top, size: top.bytes.length }], options);
  const bytes = await readDocument(manifests, chosen, options.limits);
  const blobs = kept({ where: repository.where, open: async (digest) => repository.openBlob(digest) });
  return imageOf(blobs, chosen.digest, bytes, reference, options);
}

/** Reads a manifest or an index from the cache. OCI documents may lack a media type: then it is guessed. */
async function readKept(
  directory: string | undefined,
  digest: Digest,
  limits: Limits,
): Promise<FoundManifest | undefined> {
  if (directory === undefined) return undefined;
  const path = join(directory, keptName(digest));
  const info = await stat(path).catch(() => undefined);
  if (!info) return undefined;
  checkDocumentSize(info.size, limits, path);
  const bytes = await readFile(path);
  if (digestOf(bytes) !== digest) return undefined;
  const { mediaType, manifests } = asRecord(parseDocument(bytes, path), path);
  const guess = manifests === undefined ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.ociIndex;
  return { mediaType: typeof mediaType === 'string' ? mediaType : guess, digest, bytes };
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
  if (!(await stat(archive).catch(() => undefined))) {
    const engine = openEngine(transport, signal && { signal });
    await replaceFile(archive, (part) => engine.export(reference.path, part));
  }
  return { ...(await openFile({ transport: 'docker-archive', path: archive }, options)), reference: where };
}

async function readIndexFile(directory: string, limits: Limits): Promise<Buffer> {
  const path = join(directory, 'index.json');
  const info = await stat(path).catch(() => undefined);
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
  name: string | undefined,
  reference: Reference,
  options: ImageOptions,
): Promise<Image> {
  const all = parseIndex(index, `${blobs.where} index.json`);
  const named = name === undefined ? all : all.filter((m) => hasName(m, name));
  if (named.length === 0) {
    throw new PanamaxError('not-found', 'no such tag', {
      expected: name ?? 'an image',
      found: namesOf(all).join(', ') || 'none',
      where: blobs.where,
    });
  }
  const names = new Set(namesOf(named));
  if (name === undefined && names.size > 1 && new Set(named.map((m) => m.digest)).size > 1) {
    throw new PanamaxError('usage', 'several images; name one', {
      expected: `${reference.path}:TAG`,
      found: [...names].join(', '),
      where: blobs.where,
    });
  }
  const descriptor = await resolvePlatform(blobs, named, options);
  return imageOf(
    blobs,
    descriptor.digest,
    await readDocument(blobs, descriptor, options.limits),
    reference,
    options,
  );
}

function namesOf(manifests: readonly Descriptor[]): string[] {
  return manifests.flatMap((m) => REF_NAMES.flatMap((key) => m.annotations?.[key] ?? []).slice(0, 1));
}

function hasName(manifest: Descriptor, name: string): boolean {
  return REF_NAMES.some((key) => manifest.annotations?.[key] === name) || manifest.digest === name;
}

async function resolvePlatform(
  blobs: BlobSource,
  manifests: readonly Descriptor[],
  options: ImageOptions,
): Promise<Descriptor> {
  const wanted = options.platform ?? machinePlatform();
  let chosen = manifests.length === 1 ? manifests[0]! : choosePlatform(manifests, wanted, blobs.where);
  for (let depth = 0; isIndex(chosen); depth++) {
    if (depth === MAX_INDEX_DEPTH) {
      throw new PanamaxError('limit', 'indexes are nested too deep', {
        expected: `at most ${MAX_INDEX_DEPTH}`,
        where: blobs.where,
      });
    }
    const index = parseIndex(
      await readDocument(blobs, chosen, options.limits),
      `${blobs.where} ${chosen.digest}`,
    );
    chosen = choosePlatform(index, wanted, `${blobs.where} ${chosen.digest}`);
  }
  return chosen;
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
    const index = parseIndex(await archive.readDocument('index.json'), `${archive.path} index.json`);
    for (const candidate of index) {
      const image = await resolvePlatform(blobs, [candidate], options)
        .then(async (found) => ({ found, bytes: await readDocument(blobs, found, options.limits) }))
        .then(({ found, bytes }) => imageOf(blobs, found.digest, bytes, reference, options))
        .catch((error: unknown) => {
          if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
          throw error;
        });
      if (image?.configDigest === configDigest) return image;
    }
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
    layers: manifest.layers.map((descriptor, i) => layerOf(blobs, descriptor, config.diffIDs[i]!)),
  };
}

function layerOf(blobs: BlobSource, descriptor: Descriptor, diffID: Digest): Layer {
  const where = `${blobs.where} ${descriptor.digest}`;
  async function* blob() {
    yield* verified(await blobs.open(descriptor.digest), descriptor, where);
  }
  return {
    descriptor,
    diffID,
    blob,
    tar: () => verified(decompressed(blob(), where), { digest: diffID }, where),
  };
}
