import { hexOf, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { readDocument, type BlobSource } from '../../image/blobs.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import type { Limits } from '../../limits.ts';
import {
  isSignature,
  MAX_ARTIFACTS,
  MAX_ATTACHED,
  MAX_BLOB,
  MAX_BLOBS,
  signaturesFirst,
  textOf,
  tooLarge,
  type Artifact,
  type Attachments,
} from './attachments.ts';

/** Tags at which cosign and programs like it keep signatures, attestations and bills of materials of an image. */
const SUFFIXES = ['sig', 'att', 'sbom'];
/** Artifacts of this project, which sites have by other means. */
const OWN = /^application\/vnd\.(panamax\.|io\.github\.containers\.oci-delta\.)/;
/** Referrers of one subject that are read. */
const MAX_READ = 4 * MAX_ARTIFACTS;
const MAX_LEFT = 100;

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
 * large or unreadable, and lists that cannot be read, are named in `left`: they keep no other artifact out.
 *
 * @param reference tag or digest under which the image was found
 * @param kinds `signatures`: only artifacts that may hold signatures of cosign
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
  let failure: PanamaxError | undefined;
  let size = 0;

  /** @param digest of the artifact, or of the subject if its artifacts are not known */
  const attempt = async <Result>(
    digest: Digest,
    read: () => Promise<Result>,
  ): Promise<Result | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof PanamaxError) || error.kind === 'internal') throw error;
      if (!/^(bad-input|not-found|limit)$/.test(error.kind)) failure ??= error;
      if (left.length < MAX_LEFT) left.push({ digest, why: error.message });
      return undefined;
    }
  };
  const add = async (
    reference: string,
    expected: Digest,
    more: Pick<Artifact, 'subject' | 'tag' | 'artifactType'>,
  ) => {
    const found = await attempt(expected, () => source.getManifest(reference));
    if (!found) return;
    const { digest, mediaType, bytes } = found;
    if (artifacts.some((artifact) => artifact.digest === digest)) return;
    await attempt(digest, async () => {
      const document = textOf(bytes);
      if (document === undefined) throw new PanamaxError('bad-input', 'not UTF-8', { where: source.where });
      const read = await readBlobs(source, bytes, blobs, MAX_ATTACHED - size);
      artifacts.push({ ...more, mediaType, digest, document });
      for (const [blob, content] of read) blobs.set(blob, content);
      size += bytes.length + sizeOf(read);
    });
  };

  const index =
    reference === undefined ? undefined : await attempt(target, () => findIndex(source, reference, target));
  for (const subject of index ? [target, index.digest] : [target]) {
    for (const suffix of kinds === 'all' ? SUFFIXES : ['sig']) {
      const tag = `sha256-${hexOf(subject)}.${suffix}`;
      await add(tag, subject, { subject, tag });
    }
    const listed = (await attempt(subject, () => source.listReferrers(subject))) ?? [];
    const wanted = listed.filter(
      (referrer) => !OWN.test(referrer.artifactType) && (kinds === 'all' || isSignature(referrer)),
    );
    for (const [i, { digest, artifactType }] of signaturesFirst(wanted).entries()) {
      if (artifacts.length < MAX_ARTIFACTS && i < MAX_READ) {
        await add(digest, digest, { subject, artifactType });
      } else if (left.length < MAX_LEFT) left.push({ digest, why: 'too many artifacts' });
    }
  }
  return { ...empty, indexes: index ? [index.text] : [], ...(failure && { failure }) };
}

/** The index under a reference, if it is one with the image. */
async function findIndex(source: ArtifactSource, reference: string, target: Digest) {
  const found = await source.getManifest(reference);
  const text = found && textOf(found.bytes);
  if (text === undefined || found!.bytes.length > MAX_BLOB || !lists(text, target)) return undefined;
  return { digest: found!.digest, text };
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

/**
 * Reads the config and the layers of an artifact that are not known yet.
 *
 * @param room for them and the manifest, in bytes
 */
async function readBlobs(
  { blobs: source, limits, where }: ArtifactSource,
  manifest: Buffer,
  known: ReadonlyMap<Digest, Buffer>,
  room: number,
): Promise<Map<Digest, Buffer>> {
  const descriptors = blobsIn(manifest, where);
  const read = new Map<Digest, Buffer>();
  let total = manifest.length;
  for (const descriptor of descriptors) {
    const { digest, size } = descriptor;
    if (known.has(digest) || read.has(digest)) continue;
    total += size;
    if (size > MAX_BLOB) throw tooLarge(MAX_BLOB, size, `${where} ${digest}`);
    if (total > room) throw tooLarge(room, total, where);
    read.set(digest, await readDocument(source, descriptor, limits));
  }
  if (total > room) throw tooLarge(room, total, where);
  return read;
}

/** The config and the layers of an artifact's manifest. @throws PanamaxError `bad-input`, `limit` */
export function blobsIn(manifest: Uint8Array, where: string): Descriptor[] {
  const { config, layers } = asRecord(parseDocument(manifest, where), where);
  const items = [config, ...asArray(layers ?? [], where)];
  if (items.length <= MAX_BLOBS) return items.map((item) => parseDescriptor(item, where));
  const facts = { expected: `at most ${MAX_BLOBS} blobs`, found: items.length, where };
  throw new PanamaxError('limit', 'artifact is too large', facts);
}

function sizeOf(blobs: ReadonlyMap<Digest, Buffer>): number {
  return blobs.values().reduce((sum, { length }) => sum + length, 0);
}
