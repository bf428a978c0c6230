import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { openArchive } from '../../image/archive.ts';
import { archiveBlobs, directoryBlobs, readDocument, type BlobSource } from '../../image/blobs.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { MEDIA_TYPES } from '../../image/oci/manifest.ts';
import type { Reference } from '../../image/oci/reference.ts';
import { parseRegistryName } from '../../image/oci/registryname.ts';
import { isRefusal, listReferrers } from '../../image/registry/referrers.ts';
import { openRepository, type Repository } from '../../image/registry/registry.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import type { Limits } from '../../limits.ts';
import type { ArtifactSource, FoundDocument, FoundReferrer } from './collect.ts';

/** A place of artifacts, and the tag or digest of an image there. */
export interface ImagePlace {
  readonly source: ArtifactSource;
  readonly reference?: string;
}

/** @returns undefined for references of other kinds, whose images have no artifacts beside them */
export async function findArtifactSource(
  { transport, path, name }: Reference,
  options: { readonly limits: Limits; readonly signal?: AbortSignal },
): Promise<ImagePlace | undefined> {
  if (transport === 'docker') {
    const registryName = parseRegistryName(path);
    const { digest, tag } = registryName;
    const reference = digest ?? tag;
    const source = registryArtifacts(openRepository(registryName, options));
    return { source, ...(reference !== undefined && { reference }) };
  }
  const { limits } = options;
  const named = name !== undefined && { reference: name };
  if (transport === 'oci') {
    const index = await readFile(join(path, 'index.json'));
    return { source: layoutArtifacts(index, directoryBlobs(path), limits), ...named };
  }
  if (transport === 'oci-archive' && (await stat(path)).isFile()) {
    const archive = await openArchive(path, limits);
    if (!archive.has('index.json')) return undefined;
    const index = await archive.readDocument('index.json');
    return { source: layoutArtifacts(index, archiveBlobs(archive), limits), ...named };
  }
  return undefined;
}

export function registryArtifacts(repository: Repository): ArtifactSource {
  const { where, limits } = repository;
  return {
    where,
    limits,
    async getManifest(reference) {
      try {
        return await repository.getManifest(reference);
      } catch (error) {
        if (isRefusal(error) || (error instanceof PanamaxError && error.kind === 'not-found'))
          return undefined;
        throw error;
      }
    },
    listReferrers: (subject) => listReferrers(repository, subject),
    blobs: { where, open: async (digest) => repository.openBlob(digest) },
  };
}

const REF_NAME = 'org.opencontainers.image.ref.name';
/** Annotation of cosign's own layouts (`cosign save`), which hold one image and its artifacts. */
const COSIGN_KIND = 'kind';
const COSIGN_SUFFIXES: Readonly<Record<string, string>> = {
  'dev.cosignproject.cosign/sigs': 'sig',
  'dev.cosignproject.cosign/atts': 'att',
};
/** Items of a layout's index that are read to find referrers. */
const MOST_ITEMS = 1000;

/** @param index the layout's index.json */
function layoutArtifacts(index: Uint8Array, blobs: BlobSource, limits: Limits): ArtifactSource {
  const { where } = blobs;
  const items = itemsOf(index, where);
  const isCosign = items.some(({ annotations }) => annotations?.[COSIGN_KIND] !== undefined);
  const read = async (descriptor: Descriptor): Promise<FoundDocument> => {
    const bytes = await readDocument(blobs, descriptor, limits);
    return { mediaType: descriptor.mediaType, digest: descriptor.digest, bytes };
  };
  const find = (reference: string) =>
    items.find(
      ({ digest, annotations }) =>
        digest === reference ||
        annotations?.[REF_NAME] === reference ||
        (isCosign && isTagOf(annotations?.[COSIGN_KIND], reference)),
    );
  return {
    where,
    limits,
    async getManifest(reference) {
      const item = find(reference);
      if (item) return read(item);
      // referrers may be listed by an index under a tag only
      return isDigest(reference) ? readAny(blobs, reference, limits) : undefined;
    },
    async listReferrers(subject) {
      const tagged = find(`sha256-${hexOf(subject)}`);
      const listed = tagged ? itemsOf((await read(tagged)).bytes, where) : [];
      const referrers: FoundReferrer[] = [];
      for (const item of [...items, ...listed].slice(0, MOST_ITEMS)) {
        const referrer = await referrerOf(item, subject, read);
        if (referrer) referrers.push(referrer);
      }
      return referrers;
    },
    blobs,
  };
}

function isTagOf(kind: string | undefined, tag: string): boolean {
  const suffix = kind === undefined ? undefined : COSIGN_SUFFIXES[kind];
  return suffix !== undefined && tag.endsWith(`.${suffix}`);
}

function itemsOf(index: Uint8Array, where: string): Descriptor[] {
  const { manifests } = asRecord(parseDocument(index, where), where);
  return asArray(manifests ?? [], where).flatMap((item) => {
    try {
      return [parseDescriptor(item, where)];
    } catch {
      return [];
    }
  });
}

async function readAny(
  blobs: BlobSource,
  digest: Digest,
  limits: Limits,
): Promise<FoundDocument | undefined> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of await blobs.open(digest)) {
      size += piece.length;
      if (size > limits.maxDocumentSize) return undefined;
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
    throw error;
  }
  const bytes = Buffer.concat(pieces);
  if (digestOf(bytes) !== digest) return undefined;
  return { mediaType: MEDIA_TYPES.ociManifest, digest, bytes };
}

/** An item of an index, if its manifest refers to the subject. Unreadable ones do not. */
async function referrerOf(
  item: Descriptor,
  subject: Digest,
  read: (descriptor: Descriptor) => Promise<FoundDocument>,
): Promise<FoundReferrer | undefined> {
  try {
    const { bytes } = await read(item);
    const { subject: found, artifactType, config } = asRecord(parseDocument(bytes, ''), '');
    if (found === undefined || found === null || parseDescriptor(found, '').digest !== subject)
      return undefined;
    const type = artifactType ?? asRecord(config ?? {}, '')['mediaType'];
    return { digest: item.digest, artifactType: typeof type === 'string' ? type : '' };
  } catch (error) {
    if (error instanceof PanamaxError && /^(bad-input|not-found|limit)$/.test(error.kind)) return undefined;
    throw error;
  }
}
