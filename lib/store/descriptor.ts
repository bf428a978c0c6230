import { sealDocument } from '../sealed.ts';
import { EFFORTS, type Effort } from '../delta/align/alignment.ts';
import type { FormatName } from '../delta/format.ts';
import { findFormat, formatNames } from '../delta/formats.ts';
import { digestOf, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { streamSize, type ImageRecord } from '../image/record.ts';
import { parseVersioned } from '../json.ts';
import { digestSchema, objectSchema, parseWith, sizeSchema } from '../schema.ts';
import * as v from 'valibot';
import { signedEntries, type Sign, type Signed, type Verify } from './key.ts';

/**
 * The store's document about one pair: its patch, or that a pull moves no more bytes (docs/formats.md). The owners of the
 * store sign `patchStatement`.
 */
export interface PatchDescriptor extends Signed {
  readonly format: FormatName;
  readonly effort: Effort;
  readonly source: SourceIdentity;
  readonly target: ImageIdentity;
  /** Undefined when a pull moves no more bytes than the patch would. */
  readonly patch?: { readonly size: number; readonly digest: Digest };
  /** In bytes; they allow an audit of the ranking. */
  readonly sizes: {
    readonly predicted: number;
    /** Of the patch that was made, published or not. */
    readonly actual: number;
    /** Of a pull at a site that has the source: the compressed layers that source and target do not share. */
    readonly pull: number;
  };
}

export interface ImageIdentity {
  readonly manifest: Digest;
  /** The image ID. */
  readonly config: Digest;
  /** SHA-256 of the diffIDs, bottom first, joined by line feeds. Equal layer streams have equal digests. */
  readonly layers: Digest;
  /** Of the layer stream, in bytes. */
  readonly size: number;
}

/** The source of a patch: one image, or several images combined. */
export interface SourceIdentity extends ImageIdentity {
  /**
   * Of its layers, bottom first. A site that has all of them, in any images, has the source of a patch that reads the
   * layer stream.
   */
  readonly diffIDs?: readonly Digest[];
  /** Manifests of several combined images, in the order of their layers. */
  readonly images?: readonly Digest[];
}

export function imageIdentity({ manifest, config, layers }: ImageRecord): ImageIdentity {
  const diffIDs = layers.map(({ diffID }) => diffID);
  return { manifest, config, layers: layersDigest(diffIDs), size: streamSize({ layers }) };
}

export function sourceIdentity(source: ImageRecord, images: readonly Digest[] = []): SourceIdentity {
  const diffIDs = source.layers.map(({ diffID }) => diffID);
  return { ...imageIdentity(source), diffIDs, ...(images.length > 1 && { images }) };
}

/** @param diffIDs bottom first */
export function layersDigest(diffIDs: readonly Digest[]): Digest {
  return digestOf(diffIDs.join('\n'));
}

/** The facts about a patch that a signature covers. */
export type PatchStatement = Pick<PatchDescriptor, 'format' | 'source' | 'target'> & {
  readonly patch: { readonly size: number; readonly digest: Digest };
};

/**
 * The signed text. It contains all facts that a site acts on, so that a signature is valid neither for another patch of
 * the same images nor for the same patch of other images.
 */
export function patchStatement({ format, source, target, patch }: PatchStatement): string {
  const images = [target, source].flatMap(({ manifest, config, layers, size }) => [
    manifest,
    config,
    layers,
    size,
  ]);
  return JSON.stringify(['panamax-patch', 1, format, ...images, patch.digest, patch.size]);
}

export function signDescriptor(descriptor: PatchDescriptor, sign: Sign | undefined): PatchDescriptor {
  const { patch } = descriptor;
  if (!sign || !patch) return descriptor;
  const { signature: _, signatures: __, ...unsigned } = descriptor;
  return { ...unsigned, ...sign(patchStatement({ ...descriptor, patch })) };
}

/** @throws PanamaxError `untrusted` */
export function verifyPatch(patch: PatchStatement & Signed, verify: Verify, where: string): void {
  verify(patchStatement(patch), patch, where);
}

export const DESCRIPTOR_VERSION = 1;

export function serializePatchDescriptor(descriptor: PatchDescriptor): Buffer {
  return sealDocument({ version: DESCRIPTOR_VERSION, ...descriptor }, 2);
}

const formatSchema = v.custom<FormatName>(
  (value) => findFormat(value) !== undefined,
  () => formatNames().join(' or '),
);

export const imageSchema = objectSchema({
  manifest: digestSchema,
  config: digestSchema,
  layers: digestSchema,
  size: sizeSchema,
});

export const sourceSchema = objectSchema({
  ...imageSchema.pipe[1].entries,
  diffIDs: v.exactOptional(v.array(digestSchema)),
  images: v.exactOptional(v.array(digestSchema)),
});

const descriptorSchema = objectSchema({
  format: formatSchema,
  effort: v.picklist(EFFORTS, EFFORTS.join(' or ')),
  source: sourceSchema,
  target: imageSchema,
  patch: v.exactOptional(objectSchema({ size: sizeSchema, digest: digestSchema })),
  sizes: objectSchema({ predicted: sizeSchema, actual: sizeSchema, pull: sizeSchema }),
  ...signedEntries,
});

/** @throws PanamaxError `bad-input`, also for a format or version that is not known here */
export function parsePatchDescriptor(bytes: Uint8Array, where: string): PatchDescriptor {
  const record = parseVersioned(bytes, DESCRIPTOR_VERSION, 'unknown version of descriptor', where);
  const descriptor = parseWith(descriptorSchema, record, where);
  checkSource(descriptor.source, `${where} source`);
  return descriptor;
}

/** @throws PanamaxError `bad-input` when `layers` is not the digest of `diffIDs` */
export function checkSource({ layers, diffIDs }: SourceIdentity, where: string): void {
  if (!diffIDs) return;
  const found = layersDigest(diffIDs);
  if (found === layers) return;
  throw new PanamaxError('bad-input', 'layers of another source', { expected: layers, found, where });
}
