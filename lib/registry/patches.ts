import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { PatchDescriptor } from '../delta/descriptor.ts';
import {
  ARTIFACT_TYPE as OCI_DELTA,
  EMPTY_DOCUMENT,
  serializeDeltaIndex,
} from '../delta/ocidelta/document.ts';
import { PanamaxError } from '../errors.ts';
import { replaceFile, writeChunks } from '../file.ts';
import type { Limits } from '../limits.ts';
import { openArchive } from '../oci/archive.ts';
import { verified } from '../oci/blobs.ts';
import {
  asArray,
  asRecord,
  digestOf,
  hexOf,
  isDigest,
  parseDescriptor,
  parseDocument,
  type Descriptor,
  type Digest,
} from '../oci/descriptor.ts';
import { LAYOUT_MARKER } from '../oci/layoutwriter.ts';
import { MEDIA_TYPES } from '../oci/manifest.ts';
import type { PatchFormat } from '../store/layout.ts';
import { pushBlob } from './push.ts';
import { listReferrers, pushReferrer, type Referrer } from './referrers.ts';
import type { Repository } from './registry.ts';

/** Patches beside their target in a registry (docs/formats.md). */

export const XDELTA_ARTIFACT = 'application/vnd.panamax.patch.v1';
export const XDELTA_LAYER = 'application/vnd.panamax.patch.v1.xdelta';
/** The config: what the store has as the pair's descriptor. */
export const DESCRIPTOR_CONFIG = 'application/vnd.panamax.descriptor.v1+json';
const PREFIX = 'vnd.panamax.patch';
const DELTA_PREFIX = 'io.github.containers.delta';
const MAX_LAYERS = 2000;

/** A patch that stands in a registry. */
export interface RegistryPatch {
  readonly format: PatchFormat;
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  /** What fetching it moves, in bytes. */
  readonly size: number;
  /** What a pull moves at a site that has the source; undefined where nobody says. */
  readonly pullSize?: number;
  /** The artifact's manifest. */
  readonly artifact: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Of the pair, as the store has it; an oci-delta has none. */
  readonly descriptor?: Descriptor;
}

/** Patches to a target, smallest first. What is damaged or of another kind is passed over. */
export async function findPatches(repository: Repository, target: Digest): Promise<RegistryPatch[]> {
  const patches: RegistryPatch[] = [];
  for (const referrer of await listReferrers(repository, target)) {
    if (referrer.artifactType !== XDELTA_ARTIFACT && referrer.artifactType !== OCI_DELTA) continue;
    try {
      patches.push(await readArtifact(repository, referrer, target));
    } catch (error) {
      if (!(error instanceof PanamaxError) || !/^(bad-input|not-found)$/.test(error.kind)) throw error;
    }
  }
  return patches.toSorted((a, b) => a.size - b.size);
}

async function readArtifact(
  repository: Repository,
  referrer: Referrer,
  target: Digest,
): Promise<RegistryPatch> {
  const { bytes } = await repository.getManifest(referrer.digest);
  const where = `${repository.where} ${referrer.digest}`;
  const record = asRecord(parseDocument(bytes, where), where);
  const subject = parseDescriptor(record['subject'], `${where} subject`);
  const layers = asArray(record['layers'], where).map((layer) => parseDescriptor(layer, `${where} layers`));
  const annotations = asRecord(record['annotations'] ?? {}, where);
  const isDelta = referrer.artifactType === OCI_DELTA;
  const prefix = isDelta ? DELTA_PREFIX : PREFIX;
  const manifest = annotations[`${prefix}.source`];
  const config = annotations[`${prefix}.source-config`];
  const isSound =
    subject.digest === target &&
    isDigest(config) &&
    layers.length <= MAX_LAYERS &&
    (isDelta || layers.length === 1);
  if (!isSound)
    throw new PanamaxError('bad-input', 'not a patch of this target', { expected: target, where });
  const pullSize = Number(annotations[`${prefix}.pull-size`] ?? Number.NaN);
  return {
    format: isDelta ? 'oci-delta' : 'xdelta',
    source: { config, ...(isDigest(manifest) && { manifest }) },
    size: layers.reduce((sum, { size }) => sum + size, 0),
    ...(Number.isSafeInteger(pullSize) && { pullSize }),
    artifact: { mediaType: referrer.mediaType, digest: referrer.digest, size: bytes.length },
    layers,
    ...(!isDelta && { descriptor: parseDescriptor(record['config'], `${where} config`) }),
  };
}

/**
 * Fetches a patch into a file, which appears whole or not at all; transfers that break off go on where they were. An
 * oci-delta becomes the archive that it was pushed from, bit for bit.
 */
export async function fetchPatch(repository: Repository, patch: RegistryPatch, path: string): Promise<void> {
  const open = (layer: Descriptor) =>
    verified(repository.openBlob(layer.digest), layer, `${repository.where} ${layer.digest}`);
  await replaceFile(path, async (part) => {
    if (patch.format === 'xdelta') await writeChunks(part, open(patch.layers[0]!));
    else await writeDelta(repository, patch, open, part);
  });
}

const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;

async function writeDelta(
  repository: Repository,
  { artifact, layers }: RegistryPatch,
  open: (layer: Descriptor) => AsyncIterable<Uint8Array>,
  path: string,
): Promise<void> {
  const { bytes } = await repository.getManifest(artifact.digest);
  const fixed = { mtime: new Date(0), uid: 0, gid: 0 };
  const tar = pack();
  const fill = async () => {
    const add = (name: string, content: Buffer) => tar.entry({ ...fixed, name, mode: 0o644 }, content);
    add('oci-layout', LAYOUT_MARKER);
    for (const name of ['blobs/', 'blobs/sha256/'])
      tar.entry({ ...fixed, name, type: 'directory', mode: 0o755 });
    for (const layer of new Map(layers.map((layer) => [layer.digest, layer])).values()) {
      const entry = tar.entry({ ...fixed, name: blobName(layer.digest), mode: 0o644, size: layer.size });
      const done = finished(entry);
      await Promise.all([pipeline(open(layer), entry), done]);
    }
    add(blobName(digestOf(EMPTY_DOCUMENT)), EMPTY_DOCUMENT);
    add(blobName(artifact.digest), bytes);
    add('index.json', serializeDeltaIndex(bytes));
    tar.finalize();
  };
  const written = pipeline(tar, createWriteStream(path, { flags: 'wx' }));
  try {
    await Promise.all([fill(), written]);
  } catch (error) {
    tar.destroy();
    await written.catch(() => {});
    throw error;
  }
}

export interface NewPatch {
  readonly pair: PatchDescriptor;
  /** The pair's descriptor, as the store has it. */
  readonly document: Buffer;
  /** The patch's file. */
  readonly path: string;
}

/** Puts a patch beside its target. Twice is as good as once. */
export async function publishPatch(
  repository: Repository,
  subject: Descriptor,
  patch: NewPatch,
  limits: Limits,
): Promise<Digest> {
  return patch.pair.format === 'xdelta'
    ? publishXdelta(repository, subject, patch)
    : publishDelta(repository, subject, patch, limits);
}

async function publishXdelta(
  repository: Repository,
  { mediaType, digest, size }: Descriptor,
  { pair, document, path }: NewPatch,
): Promise<Digest> {
  const config = { mediaType: DESCRIPTOR_CONFIG, digest: digestOf(document), size: document.length };
  const layer = { mediaType: XDELTA_LAYER, digest: pair.patch!.digest, size: pair.patch!.size };
  const annotations = {
    [`${PREFIX}.format`]: pair.format,
    [`${PREFIX}.source`]: pair.source.manifest,
    [`${PREFIX}.source-config`]: pair.source.config,
    [`${PREFIX}.pull-size`]: String(pair.sizes.pull),
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      artifactType: XDELTA_ARTIFACT,
      config,
      layers: [layer],
      subject: { mediaType, digest, size },
      annotations,
    }),
  );
  await pushBlob(repository, layer, { path });
  await pushBlob(repository, config, document);
  return pushArtifact(repository, digest, XDELTA_ARTIFACT, manifest, annotations);
}

/** As it is: the oci-delta program finds it by its own kind and subject. */
async function publishDelta(
  repository: Repository,
  subject: Descriptor,
  { path }: NewPatch,
  limits: Limits,
): Promise<Digest> {
  const archive = await openArchive(path, limits);
  const [item] = asArray(
    asRecord(parseDocument(await archive.readDocument('index.json'), path), path)['manifests'],
    path,
  );
  const { digest } = parseDescriptor(item, path);
  const manifest = await archive.readDocument(blobName(digest));
  const record = asRecord(parseDocument(manifest, path), path);
  const found = parseDescriptor(record['subject'], `${path} subject`).digest;
  if (found !== subject.digest) {
    throw new PanamaxError('bad-patch', 'patch of another image', {
      expected: subject.digest,
      found,
      where: path,
    });
  }
  const layers = asArray(record['layers'], path).map((layer) => parseDescriptor(layer, path));
  for (const layer of layers) {
    await pushBlob(repository, layer, { open: () => archive.open(blobName(layer.digest)) });
  }
  await pushBlob(
    repository,
    { digest: digestOf(EMPTY_DOCUMENT), size: EMPTY_DOCUMENT.length },
    EMPTY_DOCUMENT,
  );
  const annotations = asRecord(record['annotations'] ?? {}, path) as Record<string, string>;
  return pushArtifact(repository, subject.digest, OCI_DELTA, manifest, annotations);
}

async function pushArtifact(
  repository: Repository,
  subject: Digest,
  artifactType: string,
  manifest: Buffer,
  annotations: Readonly<Record<string, string>>,
): Promise<Digest> {
  const digest = digestOf(manifest);
  const { ociManifest: mediaType } = MEDIA_TYPES;
  const referrer = { mediaType, digest, size: manifest.length, artifactType, annotations };
  await pushReferrer(repository, subject, referrer, manifest);
  return digest;
}
