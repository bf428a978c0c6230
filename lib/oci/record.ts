import {
  asArray,
  asRecord,
  asSize,
  asString,
  digestOf,
  parseDigest,
  type Digest,
  type Platform,
} from './descriptor.ts';
import type { Image } from './image.ts';
import { parseConfig, parseManifest } from './manifest.ts';
import { formatPlatform } from './platform.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { PanamaxError } from '../errors.ts';

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
}

export function imageRecord(image: Image, sizes: readonly LayerSizes[]): ImageRecord {
  return {
    manifest: image.manifestDigest,
    manifestDocument: image.manifestBytes.toString('utf8'),
    config: image.configDigest,
    configDocument: image.configBytes.toString('utf8'),
    platform: formatPlatform(image.platform),
    layers: image.layers.map(({ descriptor, diffID }, i) => ({
      diffID,
      size: sizes[i]!.size,
      digest: descriptor.digest,
      mediaType: descriptor.mediaType,
      pullSize: sizes[i]!.pullSize,
    })),
  };
}

export type LayerSizes = Pick<LayerRecord, 'size' | 'pullSize'>;

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
    return {
      diffID: parseDigest(layer['diffID'], at),
      size: asSize(layer['size'], `${at} size`),
      digest: parseDigest(layer['digest'], at),
      mediaType: asString(layer['mediaType'], `${at} mediaType`),
      pullSize: asSize(layer['pullSize'], `${at} pullSize`),
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

/** The record of an image that is known by its documents and the uncompressed sizes of its layers. */
export function recordOf(
  image: {
    readonly manifest: Digest;
    readonly manifestDocument: Buffer;
    readonly config: Digest;
    readonly configDocument: Buffer;
  },
  sizes: readonly number[],
): ImageRecord {
  const { manifest: digest, manifestDocument, config: configDigest, configDocument } = image;
  const manifest = parseManifest(manifestDocument, DEFAULT_LIMITS, digest);
  const config = parseConfig(configDocument, manifest, configDigest);
  return {
    manifest: digest,
    manifestDocument: manifestDocument.toString('utf8'),
    config: configDigest,
    configDocument: configDocument.toString('utf8'),
    platform: formatPlatform(config.platform),
    layers: manifest.layers.map((layer, i) => ({
      diffID: config.diffIDs[i]!,
      size: sizes[i]!,
      digest: layer.digest,
      mediaType: layer.mediaType,
      pullSize: layer.size,
    })),
  };
}

/** Undefined where the image's config says no architecture. */
export function platformOf({ platform }: Pick<ImageRecord, 'platform'>): Platform | undefined {
  const [os, architecture, variant] = platform.split('/');
  if (!os || !architecture) return undefined;
  return variant ? { os, architecture, variant } : { os, architecture };
}
