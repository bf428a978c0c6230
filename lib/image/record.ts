import { parseCompression, type Compression } from '../compression/recipe.ts';
import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { asArray, asRecord, asSize, asString } from '../json.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { type Platform } from './oci/descriptor.ts';
import { parseConfig, parseManifest } from './oci/manifest.ts';
import { formatPlatform } from './oci/platform.ts';
import type { Image } from './open.ts';

/**
 * What panamax keeps of an image: all that is needed to rebuild it from its layer stream. Part of signatures
 * and patch descriptors (docs/formats.md).
 */
export interface ImageRecord {
  /** Digest of `document`: names the image. */
  readonly manifest: Digest;
  /** The manifest, byte for byte. */
  readonly manifestDocument: string;
  /** Digest of the config: the image ID. */
  readonly config: Digest;
  /** The config, byte for byte. */
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
  /** Of the layer as the manifest names it. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** What a pull moves for this layer, in bytes: its size in the manifest, or by gzip where it is plain there. */
  readonly pullSize: number;
  /** What makes the bytes that the manifest names of the tar again; undefined where nothing known does. */
  readonly compression?: Compression;
}

/**
 * @param sizes of the layers uncompressed, in bytes
 * @param pullSizes by default those of the manifest
 * @param compressions of the layers, where they were looked for
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

/** The record with other compressions: of each layer what makes it again, undefined where nothing known does. */
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

/** @throws PanamaxError `bad-input`, also where a document is not what its digest says */
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
  // the documents are the image: what is said of it beside them has to agree with them
  const agree = (what: string, expected: readonly string[], found: readonly string[]) => {
    if (expected.join() === found.join()) return;
    throw new PanamaxError('bad-input', `${what} of the record and of its documents differ`, {
      expected: expected.join(' ') || 'none',
      found: found.join(' ') || 'none',
      where,
    });
  };
  agree('config', [parsedManifest.config.digest], [config]);
  agree('platform', [formatPlatform(platform)], [asString(record['platform'], `${where} platform`)]);
  agree(
    'diffIDs',
    diffIDs,
    layers.map((layer) => layer.diffID),
  );
  agree(
    'layers',
    parsedManifest.layers.map((layer) => layer.digest),
    layers.map((layer) => layer.digest),
  );
  return { manifest, manifestDocument, config, configDocument, platform: formatPlatform(platform), layers };
}

/** Bytes of an image's layer stream. */
export function streamSize({ layers }: Pick<ImageRecord, 'layers'>): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

/** Bytes that a plain pull moves where the layers of `resident` are there already (layers dedupe by diffID). */
export function pullSize(target: ImageRecord, resident?: ImageRecord): number {
  const have = new Set(resident?.layers.map((layer) => layer.diffID));
  let sum = 0;
  for (const layer of target.layers) {
    if (!have.has(layer.diffID)) sum += layer.pullSize;
    have.add(layer.diffID);
  }
  return sum;
}

/** Undefined where the image's config says no architecture. */
export function platformOf({ platform }: Pick<ImageRecord, 'platform'>): Platform | undefined {
  const [os, architecture, variant] = platform.split('/');
  if (!os || !architecture) return undefined;
  return variant ? { os, architecture, variant } : { os, architecture };
}
