import { parseCompression, type Compression } from '../compression/recipe.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { asArray, asRecord, asSize, asString, parseDocument } from '../json.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { type Platform } from './oci/descriptor.ts';
import { parseConfig, parseManifest } from './oci/manifest.ts';
import { formatPlatform } from './oci/platform.ts';
import type { Image } from './open.ts';

/**
 * Describes an image, with all that is needed to rebuild it from its layer stream. Part of signatures and patch
 * descriptors (docs/formats.md).
 */
export interface ImageRecord {
  /** Digest of `manifestDocument`. Names the image. */
  readonly manifest: Digest;
  /** The manifest's exact text. */
  readonly manifestDocument: string;
  /** Digest of `configDocument`: the image ID. */
  readonly config: Digest;
  /** The config's exact text. */
  readonly configDocument: string;
  /** `os/architecture[/variant]` */
  readonly platform: string;
  /** Bottom first. */
  readonly layers: readonly LayerRecord[];
}

export interface LayerRecord {
  readonly diffID: Digest;
  /** Uncompressed, in bytes. */
  readonly size: number;
  /** The layer's digest in the manifest. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes that a pull transfers: the layer's size in the manifest, or its size by gzip if it is uncompressed there. */
  readonly pullSize: number;
  /** Recipe that compresses the tar to the manifest's bytes; undefined if none is known. */
  readonly compression?: Compression;
}

/**
 * @param sizes of the uncompressed layers, in bytes
 * @param pullSizes default: the sizes in the manifest
 * @param compressions of the layers, if they have been searched
 */
export function imageRecord(
  image: Pick<Image, 'manifestDigest' | 'manifestBytes' | 'configDigest' | 'configBytes'>,
  sizes: readonly number[],
  pullSizes?: readonly number[],
  compressions: readonly (Compression | undefined)[] = [],
): ImageRecord {
  const { manifestDigest, manifestBytes, configDigest, configBytes } = image;
  const manifest = parseManifest(manifestBytes, DEFAULT_LIMITS, manifestDigest);
  const { platform, diffIDs } = parseConfig(configBytes, manifest, configDigest);
  return {
    manifest: manifestDigest,
    manifestDocument: manifestBytes.toString('utf8'),
    config: configDigest,
    configDocument: configBytes.toString('utf8'),
    platform: formatPlatform(platform),
    layers: manifest.layers.map(({ digest, mediaType, size }, i) => ({
      diffID: diffIDs[i]!,
      size: sizes[i]!,
      digest,
      mediaType,
      pullSize: pullSizes?.[i] ?? size,
      ...(compressions[i] && { compression: compressions[i] }),
    })),
  };
}

/** A copy of the record with other compressions; undefined for layers without a known recipe. */
export function withCompressions(
  record: ImageRecord,
  compressions: readonly (Compression | undefined)[],
): ImageRecord {
  const layers = record.layers.map((one, i) => {
    const { compression: _, ...layer } = one;
    return { ...layer, ...(compressions[i] && { compression: compressions[i] }) };
  });
  return { ...record, layers };
}

/** @throws PanamaxError `bad-input`, also if a document does not have its digest */
export function parseImageRecord(value: unknown, where: string): ImageRecord {
  const record = asRecord(value, where);
  const document = (digestKey: string, textKey: string): [Digest, string] => {
    const digest = parseDigest(record[digestKey], `${where} ${digestKey}`);
    const text = asString(record[textKey], `${where} ${textKey}`);
    if (digestOf(text) !== digest) {
      throw new PanamaxError('bad-input', 'digest mismatch', {
        expected: digest,
        found: digestOf(text),
        where: `${where} ${textKey}`,
      });
    }
    return [digest, text];
  };
  const [manifest, manifestDocument] = document('manifest', 'manifestDocument');
  const [config, configDocument] = document('config', 'configDocument');
  const parsedManifest = parseManifest(Buffer.from(manifestDocument), DEFAULT_LIMITS, `${where} manifest`);
  const { platform, diffIDs } = parseConfig(Buffer.from(configDocument), parsedManifest, `${where} config`);
  const layers = asArray(record['layers'], `${where} layers`).map((item, i) => {
    const at = `${where} layers[${i}]`;
    const layer = asRecord(item, at);
    const compression =
      layer['compression'] === undefined
        ? undefined
        : parseCompression(layer['compression'], `${at} compression`);
    return {
      diffID: parseDigest(layer['diffID'], at),
      size: asSize(layer['size'], `${at} size`),
      digest: parseDigest(layer['digest'], at),
      mediaType: asString(layer['mediaType'], `${at} mediaType`),
      pullSize: asSize(layer['pullSize'], `${at} pullSize`),
      ...(compression && { compression }),
    };
  });
  // the documents define the image: the other fields must agree with them
  const requireEqual = (what: string, expected: readonly string[], found: readonly string[]) => {
    if (expected.join() === found.join()) return;
    throw new PanamaxError('bad-input', `${what} of the record and of its documents differ`, {
      expected: expected.join(' ') || 'none',
      found: found.join(' ') || 'none',
      where,
    });
  };
  requireEqual('config', [parsedManifest.config.digest], [config]);
  requireEqual('platform', [formatPlatform(platform)], [asString(record['platform'], `${where} platform`)]);
  requireEqual(
    'diffIDs',
    diffIDs,
    layers.map((layer) => layer.diffID),
  );
  requireEqual(
    'layers',
    parsedManifest.layers.map((layer) => layer.digest),
    layers.map((layer) => layer.digest),
  );
  return { manifest, manifestDocument, config, configDocument, platform: formatPlatform(platform), layers };
}

/** Size of an image's layer stream in bytes. */
export function streamSize({ layers }: Pick<ImageRecord, 'layers'>): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

interface PulledLayers {
  readonly layers: readonly Pick<LayerRecord, 'diffID' | 'pullSize'>[];
}

/** Bytes that a pull transfers if the layers of `resident` are present (layers are deduplicated by diffID). */
export function pullSize(target: PulledLayers, resident?: PulledLayers): number {
  const have = new Set(resident?.layers.map((layer) => layer.diffID));
  let sum = 0;
  for (const layer of target.layers) {
    if (!have.has(layer.diffID)) sum += layer.pullSize;
    have.add(layer.diffID);
  }
  return sum;
}

/** @returns undefined if the image's config has no architecture */
export function platformOf({ platform }: Pick<ImageRecord, 'platform'>): Platform | undefined {
  const [os, architecture, variant] = platform.split('/');
  if (!os || !architecture) return undefined;
  return variant ? { os, architecture, variant } : { os, architecture };
}

/**
 * Time of creation in seconds since 1970, as the config says (image-spec, config.md); undefined if it says none. Times up to
 * 1970 stand for none: builders write them for reproducible images.
 */
export function createdOf({ configDocument }: Pick<ImageRecord, 'configDocument'>): number | undefined {
  const { created } = asRecord(parseDocument(Buffer.from(configDocument), 'config'), 'config');
  const time = typeof created === 'string' ? Math.floor(Date.parse(created) / 1000) : NaN;
  return time > 0 ? time : undefined;
}
