import type { FormatName } from '../delta/format.ts';
import { findFormat, formatNames } from '../delta/formats.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { asArray, asRecord, asSize, parseDocument } from '../json.ts';
import { PanamaxError } from '../errors.ts';
import { streamSize, type ImageRecord } from '../image/record.ts';
import { parseSignature, type Sign, type Signature, type Verify } from './key.ts';
import { EFFORTS, type Effort } from '../delta/align/alignment.ts';

/** What the store says of one pair: a patch, or that a pull is as good (docs/formats.md). */
export interface PatchDescriptor {
  readonly format: FormatName;
  /** How much work went into it. */
  readonly effort: Effort;
  readonly source: SourceName;
  readonly target: ImageName;
  /** Undefined where a pull moves no more than the patch would: then there is none. */
  readonly patch?: { readonly size: number; readonly digest: Digest };
  /** In bytes, for the audit of the ranking. */
  readonly sizes: {
    readonly predicted: number;
    /** Of the patch as it was made, published or not. */
    readonly actual: number;
    /** What a pull moves at a site that has the source, layers that both share left out. */
    readonly pull: number;
  };
  /** Of `patchStatement`, by the owner of the store. */
  readonly signature?: Signature;
}

export interface ImageName {
  readonly manifest: Digest;
  /** The image ID. */
  readonly config: Digest;
  /** SHA-256 of its diffIDs, bottom first, joined by line feeds: equal where the layer streams are. */
  readonly layers: Digest;
  /** Of its layer stream, in bytes. */
  readonly size: number;
}

/** What a patch starts from: an image, or several as one. */
export interface SourceName extends ImageName {
  /** Of its layers, bottom first: who has them all, in whatever images, has the source of an `xdelta` patch. */
  readonly diffIDs?: readonly Digest[];
  /** Manifests of the images, in the order of their layers, where there are several. */
  readonly images?: readonly Digest[];
}

export function imageName({ manifest, config, layers }: ImageRecord): ImageName {
  const diffIDs = layers.map(({ diffID }) => diffID);
  return { manifest, config, layers: layersDigest(diffIDs), size: streamSize({ layers }) };
}

export function sourceName(source: ImageRecord, images: readonly Digest[] = []): SourceName {
  const diffIDs = source.layers.map(({ diffID }) => diffID);
  return { ...imageName(source), diffIDs, ...(images.length > 1 && { images }) };
}

/** @param diffIDs bottom first */
export function layersDigest(diffIDs: readonly Digest[]): Digest {
  return digestOf(diffIDs.join('\n'));
}

/** What a patch is said to be; vouched for by a signature. */
export type PatchStatement = Pick<PatchDescriptor, 'format' | 'source' | 'target'> & {
  readonly patch: { readonly size: number; readonly digest: Digest };
};

/** Everything a site acts on: another image's patch, or a patch under another's name, makes another statement. */
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
  return { ...descriptor, signature: sign(patchStatement({ ...descriptor, patch })) };
}

/** @throws PanamaxError `untrusted` */
export function verifyPatch(
  patch: PatchStatement & { readonly signature?: Signature },
  verify: Verify,
  where: string,
): void {
  verify(patchStatement(patch), patch.signature, where);
}

export const DESCRIPTOR_VERSION = 1;

export function serializeDescriptor(descriptor: PatchDescriptor): Buffer {
  return Buffer.from(`${JSON.stringify({ version: DESCRIPTOR_VERSION, ...descriptor }, null, 2)}\n`);
}

/** @throws PanamaxError `bad-input` */
export function parseDescriptor(bytes: Uint8Array, where: string): PatchDescriptor {
  const record = asRecord(parseDocument(bytes, where), where);
  const { version, effort } = record;
  const format = findFormat(record['format']);
  if (version !== DESCRIPTOR_VERSION || !format || !EFFORTS.includes(effort as Effort)) {
    throw new PanamaxError('bad-input', 'unknown kind of descriptor', {
      expected: `version ${DESCRIPTOR_VERSION}, format ${formatNames().join(' or ')}, effort ${EFFORTS.join(' or ')}`,
      found: JSON.stringify({ version, format: record['format'], effort }),
      where,
    });
  }
  const sizes = asRecord(record['sizes'], `${where} sizes`);
  const signature = parseSignature(record['signature'], where);
  return {
    format: format.name,
    effort: effort as Effort,
    source: parseSourceName(record['source'], `${where} source`),
    target: parseImageName(record['target'], `${where} target`),
    ...(record['patch'] === undefined ? {} : { patch: parsePatch(record['patch'], `${where} patch`) }),
    sizes: {
      predicted: asSize(sizes['predicted'], `${where} sizes.predicted`),
      actual: asSize(sizes['actual'], `${where} sizes.actual`),
      pull: asSize(sizes['pull'], `${where} sizes.pull`),
    },
    ...(signature && { signature }),
  };
}

/** @throws PanamaxError `bad-input` */
export function parseImageName(value: unknown, where: string): ImageName {
  const record = asRecord(value, where);
  return {
    manifest: parseDigest(record['manifest'], where),
    config: parseDigest(record['config'], where),
    layers: parseDigest(record['layers'], `${where} layers`),
    size: asSize(record['size'], `${where} size`),
  };
}

/** @throws PanamaxError `bad-input`, also for layers that are not those that `layers` stands for */
export function parseSourceName(value: unknown, where: string): SourceName {
  const name = parseImageName(value, where);
  const { diffIDs, images } = asRecord(value, where);
  const listed = diffIDs === undefined ? undefined : parseDigests(diffIDs, `${where} diffIDs`);
  if (listed && layersDigest(listed) !== name.layers) {
    const facts = { expected: name.layers, found: layersDigest(listed), where };
    throw new PanamaxError('bad-input', 'layers of another source', facts);
  }
  return {
    ...name,
    ...(listed && { diffIDs: listed }),
    ...(images !== undefined && { images: parseDigests(images, `${where} images`) }),
  };
}

function parseDigests(value: unknown, where: string): Digest[] {
  return asArray(value, where).map((digest) => parseDigest(digest, where));
}

function parsePatch(value: unknown, where: string): { size: number; digest: Digest } {
  const record = asRecord(value, where);
  return {
    size: asSize(record['size'], `${where} size`),
    digest: parseDigest(record['digest'], `${where} digest`),
  };
}
