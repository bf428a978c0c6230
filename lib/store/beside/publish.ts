import * as v from 'valibot';
import { digestOf, type Digest } from '../../digest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import type { PatchDescriptor } from '../descriptor.ts';
import type { ArtifactForm, BlobForm } from '../../delta/format.ts';
import { formatNamed } from '../../delta/formats.ts';
import { PanamaxError } from '../../errors.ts';
import type { Limits } from '../../limits.ts';
import { openArchive } from '../../image/archive.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { EMPTY_DOCUMENT, EMPTY_TYPE } from '../../image/oci/empty.ts';
import { MEDIA_TYPES } from '../../image/oci/manifest.ts';
import { blobName, DESCRIPTOR_ARTIFACT, DESCRIPTOR_CONFIG, PATCH_ARTIFACT, PREFIX } from './patches.ts';
import { parseWith } from '../../schema.ts';
import { pushBlob } from '../../image/registry/push.ts';
import { pushReferrer } from '../../image/registry/referrers.ts';
import type { Repository } from '../../image/registry/registry.ts';

export interface NewPatch {
  readonly pair: PatchDescriptor;
  /** The pair's descriptor, byte for byte as in the store. */
  readonly document: Buffer;
  /** Path of the patch file. */
  readonly path: string;
}

/**
 * Pushes a patch as a referrer of its target. Repeated calls change nothing.
 *
 * @returns the digest of the artifact's manifest
 */
export async function publishPatch(
  repository: Repository,
  subject: Descriptor,
  patch: NewPatch,
  limits: Limits,
): Promise<Digest> {
  const form = formatNamed(patch.pair.format).registry;
  return form.kind === 'blob'
    ? publishBlob(repository, subject, patch, form)
    : publishArtifact(repository, subject, patch, form, limits);
}

async function publishBlob(
  repository: Repository,
  subject: Descriptor,
  { pair, document, path }: NewPatch,
  { mediaType }: BlobForm,
): Promise<Digest> {
  const layer = { mediaType, digest: pair.patch!.digest, size: pair.patch!.size };
  await pushBlob(repository, layer, { path });
  return pushDocument(repository, subject, {
    artifactType: PATCH_ARTIFACT,
    configType: DESCRIPTOR_CONFIG,
    document,
    layers: [layer],
    annotations: annotationsOf(pair),
  });
}

function annotationsOf({ format, source, sizes }: PatchDescriptor): Record<string, string> {
  return {
    [`${PREFIX}.format`]: format,
    [`${PREFIX}.source`]: source.manifest,
    [`${PREFIX}.source-config`]: source.config,
    [`${PREFIX}.source-layers`]: source.layers,
    [`${PREFIX}.pull-size`]: String(sizes.pull),
  };
}

export interface NewDocument {
  readonly artifactType: string;
  /** Media type of the document, which is the artifact's config. */
  readonly configType: string;
  readonly document: Buffer;
  /** Layers that the registry has. By default one empty layer, which registries require (OCI image-spec, manifest.md). */
  readonly layers?: readonly Pick<Descriptor, 'mediaType' | 'digest' | 'size'>[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** Pushes a document as a referrer of an image: it is the config of an artifact. */
export async function pushDocument(
  repository: Repository,
  { mediaType, digest, size }: Descriptor,
  { artifactType, configType, document, layers = [EMPTY], annotations }: NewDocument,
): Promise<Digest> {
  const config = { mediaType: configType, digest: digestOf(document), size: document.length };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      artifactType,
      config,
      layers,
      subject: { mediaType, digest, size },
      annotations,
    }),
  );
  await pushBlob(repository, config, document);
  if (layers.includes(EMPTY)) await pushBlob(repository, EMPTY, EMPTY_DOCUMENT);
  return pushArtifact(repository, digest, artifactType, manifest, annotations);
}

const annotationsSchema = v.record(v.string(), v.string());

const EMPTY = { mediaType: EMPTY_TYPE, digest: digestOf(EMPTY_DOCUMENT), size: EMPTY_DOCUMENT.length };

/** Pushes the artifact as it is: other programs find it by its artifact type and subject. */
async function publishArtifact(
  repository: Repository,
  subject: Descriptor,
  { pair, document, path }: NewPatch,
  { artifactType }: ArtifactForm,
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
  await pushBlob(repository, EMPTY, EMPTY_DOCUMENT);
  const annotations = parseWith(annotationsSchema, record['annotations'] ?? {}, `${path} annotations`);
  const artifact = await pushArtifact(repository, subject.digest, artifactType, manifest, annotations);
  // the descriptor has the signature and the facts that the artifact lacks
  await pushDocument(repository, subject, {
    artifactType: DESCRIPTOR_ARTIFACT,
    configType: DESCRIPTOR_CONFIG,
    document,
    annotations: { ...annotationsOf(pair), [`${PREFIX}.artifact`]: artifact },
  });
  return artifact;
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
