import { hexOf, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { readDocument, type BlobSource } from '../../image/blobs.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import type { Limits } from '../../limits.ts';
import { MAX_ARTIFACTS, MAX_ATTACHED, textOf, type Artifact, type Attachments } from './attachments.ts';

/** Of one blob of an artifact, in bytes. */
const MAX_BLOB = 1024 ** 2;
const MAX_BLOBS = 64;
/** Tags at which cosign and programs like it keep signatures, attestations and bills of materials of an image. */
const SUFFIXES = ['sig', 'att', 'sbom'];
/** Artifacts of this project, which sites have by other means. */
const OWN = /^application\/vnd\.(panamax\.|io\.github\.containers\.oci-delta\.)/;

/** Artifact types of cosign's signatures among the referrers. */
const SIGNATURE = /^application\/vnd\.dev\.(cosign|sigstore)\./;

export type AttachmentKinds = 'all' | 'signatures';

export interface FoundDocument {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface FoundReferrer {
  readonly digest: Digest;
  readonly artifactType: string;
}

/** A place of artifacts: a repository of a registry, or an OCI layout. */
export interface ArtifactSource {
  readonly where: string;
  readonly limits: Limits;
  /** Reads a manifest or an index by its tag or digest; undefined for a missing one. */
  getManifest(reference: string): Promise<FoundDocument | undefined>;
  listReferrers(subject: Digest): Promise<readonly FoundReferrer[]>;
  readonly blobs: BlobSource;
}

/**
 * Collects the artifacts of an image, and those of the index that the image was chosen from. Artifacts that are too
 * large or unreadable are named only.
 *
 * @param reference tag or digest under which the image was found
 * @param kinds `signatures`: only what cosign's signatures may be in
 * @throws PanamaxError errors of the source
 */
export async function collectAttachments(
  source: ArtifactSource,
  image: { readonly manifestDigest: Digest; readonly manifestBytes: Buffer },
  reference: string | undefined,
  kinds: AttachmentKinds = 'all',
): Promise<Attachments> {
  const target = image.manifestDigest;
  const artifacts: Artifact[] = [];
  const left: { digest: Digest; why: string }[] = [];
  const blobs = new Map<Digest, Buffer>();
  const manifest = textOf(image.manifestBytes);
  const empty = { target, manifest: manifest ?? '', indexes: [], artifacts, blobs, left };
  if (manifest === undefined) return empty;
  const index = reference === undefined ? undefined : await findIndex(source, reference, target);

  const add = async (found: FoundDocument, more: Pick<Artifact, 'subject' | 'tag' | 'artifactType'>) => {
    const { digest, mediaType, bytes } = found;
    if (artifacts.some((artifact) => artifact.digest === digest)) return;
    try {
      const document = textOf(bytes);
      if (document === undefined || artifacts.length === MAX_ARTIFACTS) {
        throw new PanamaxError('limit', document === undefined ? 'not UTF-8' : 'too many artifacts');
      }
      const read = await readBlobs(source, bytes, blobs);
      artifacts.push({ ...more, mediaType, digest, document });
      for (const [blob, content] of read) blobs.set(blob, content);
    } catch (error) {
      if (!isUnusable(error)) throw error;
      left.push({ digest, why: error.message });
    }
  };
  for (const subject of index ? [target, index.digest] : [target]) {
    for (const suffix of kinds === 'all' ? SUFFIXES : ['sig']) {
      const tag = `sha256-${hexOf(subject)}.${suffix}`;
      const found = await source.getManifest(tag);
      if (found) await add(found, { subject, tag });
    }
    for (const { digest, artifactType } of await source.listReferrers(subject)) {
      if (OWN.test(artifactType) || (kinds === 'signatures' && !SIGNATURE.test(artifactType))) continue;
      const found = await source.getManifest(digest);
      if (found) await add(found, { subject, artifactType });
    }
  }
  return { ...empty, indexes: index ? [index.text] : [], left: left.slice(0, 100) };
}

/** The index under a reference, if it is one with the image. */
async function findIndex(source: ArtifactSource, reference: string, target: Digest) {
  const found = await source.getManifest(reference);
  const text = found && textOf(found.bytes);
  return text !== undefined && lists(text, target) ? { digest: found!.digest, text } : undefined;
}

/** Whether a document is an index with a manifest. */
export function lists(index: string, manifest: Digest): boolean {
  try {
    const { manifests } = asRecord(parseDocument(Buffer.from(index), ''), '');
    return asArray(manifests, '').some((item) => asRecord(item, '')['digest'] === manifest);
  } catch {
    return false;
  }
}

/** Reads the config and the layers of an artifact that are not known yet. */
async function readBlobs(
  { blobs: source, limits, where }: ArtifactSource,
  manifest: Buffer,
  known: ReadonlyMap<Digest, Buffer>,
): Promise<Map<Digest, Buffer>> {
  const descriptors = blobsIn(manifest, where);
  if (descriptors.length > MAX_BLOBS) throw tooLarge(`${MAX_BLOBS} blobs`, descriptors.length, where);
  const read = new Map<Digest, Buffer>();
  let total = known.values().reduce((sum, { length }) => sum + length, 0);
  for (const descriptor of descriptors) {
    const { digest, size } = descriptor;
    if (known.has(digest) || read.has(digest)) continue;
    total += size;
    if (size > MAX_BLOB) throw tooLarge(`${MAX_BLOB} bytes`, size, `${where} ${digest}`);
    if (total > MAX_ATTACHED) throw tooLarge(`${MAX_ATTACHED} bytes of all artifacts`, total, where);
    read.set(digest, await readDocument(source, descriptor, limits));
  }
  return read;
}

/** The config and the layers of an artifact's manifest. @throws PanamaxError `bad-input` */
export function blobsIn(manifest: Uint8Array, where: string): Descriptor[] {
  const { config, layers } = asRecord(parseDocument(manifest, where), where);
  return [config, ...asArray(layers ?? [], where)].map((item) => parseDescriptor(item, where));
}

function tooLarge(expected: string, found: number, where: string): PanamaxError {
  return new PanamaxError('limit', 'artifact is too large', {
    expected: `at most ${expected}`,
    found,
    where,
  });
}

function isUnusable(error: unknown): error is PanamaxError {
  return error instanceof PanamaxError && /^(bad-input|not-found|limit)$/.test(error.kind);
}
