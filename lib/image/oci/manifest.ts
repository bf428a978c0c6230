import { parseDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../../json.ts';
import type { Limits } from '../../limits.ts';
import { hintsOf, parseDescriptor, type Descriptor, type Platform } from './descriptor.ts';

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

export const MEDIA_TYPES = {
  ociIndex: `${OCI}.index.v1+json`,
  ociManifest: `${OCI}.manifest.v1+json`,
  ociConfig: `${OCI}.config.v1+json`,
  ociLayer: `${OCI}.layer.v1.tar`,
  dockerIndex: `${DOCKER}.distribution.manifest.list.v2+json`,
  dockerManifest: `${DOCKER}.distribution.manifest.v2+json`,
  dockerConfig: `${DOCKER}.container.image.v1+json`,
  dockerLayer: `${DOCKER}.image.rootfs.diff.tar`,
} as const;

const CONFIG_TYPES: readonly string[] = [MEDIA_TYPES.ociConfig, MEDIA_TYPES.dockerConfig];
/**
 * Types that old registries and clients wrote for configs, and for layers. Docker takes them, too (moby,
 * distribution/registry.go): it looks at the bytes of a layer only.
 */
const VAGUE_TYPES: readonly string[] = [
  'application/octet-stream',
  'application/json',
  'text/html',
  'text/plain',
  '',
];
const INDEX_TYPES: readonly string[] = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerIndex];
const MANIFEST_TYPES: readonly string[] = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest];

/**
 * Layers of OCI (also non-distributable) and Docker, and bare tars. Their bytes tell the compression, and one that is not
 * supported is refused by its name.
 */
const LAYER_TYPE =
  /^application\/(vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar|vnd\.docker\.image\.rootfs\.(foreign\.)?diff\.tar|(x-)?tar|x-gtar)([+.](gzip|zstd|bzip2|xz|lz4))?$|^application\/(x-)?(gzip|zstd|bzip2|xz)$/;

/** An image manifest (OCI image-spec, manifest.md, or Docker's schema 2). */
export interface Manifest {
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** The fields of an image's config that are used (OCI image-spec, config.md). */
export interface Config {
  readonly platform: Platform;
  readonly diffIDs: readonly Digest[];
}

/**
 * @throws PanamaxError `bad-input` for anything but an image manifest with layers of known media types; `limit` for too
 *   many layers
 */
export function parseManifest(bytes: Uint8Array, limits: Limits, where: string): Manifest {
  const record = asRecord(parseDocument(bytes, where), where);
  if (record['schemaVersion'] !== 2) {
    throw new PanamaxError('bad-input', 'unknown manifest version', {
      expected: 'schemaVersion 2',
      found: `schemaVersion ${JSON.stringify(record['schemaVersion'])}`,
      where,
    });
  }
  const config = parseDescriptor(record['config'], `${where} config`);
  const mediaType = asString(record['mediaType'] || MEDIA_TYPES.ociManifest, `${where} mediaType`);
  if (!MANIFEST_TYPES.includes(mediaType)) throw unknownType('manifest', MANIFEST_TYPES, mediaType, where);
  // an artifact with a config of no known type is no image
  const known = record['artifactType'] ? CONFIG_TYPES : [...CONFIG_TYPES, ...VAGUE_TYPES];
  if (!known.includes(bare(config.mediaType))) {
    throw unknownType('config', CONFIG_TYPES, config.mediaType, where);
  }
  const layers = asArray(record['layers'] ?? [], `${where} layers`);
  if (layers.length > limits.maxLayers) {
    throw new PanamaxError('limit', 'image is over maxLayers', {
      expected: `at most ${limits.maxLayers}`,
      found: layers.length,
      where,
    });
  }
  return {
    mediaType,
    config,
    layers: layers.map((value, i) => {
      const layer = parseDescriptor(value, `${where} layer ${i}`);
      if (!LAYER_TYPE.test(bare(layer.mediaType)) && !VAGUE_TYPES.includes(bare(layer.mediaType))) {
        throw unknownType('layer', ['an image layer as tar, gzip or zstd'], layer.mediaType, where);
      }
      return layer;
    }),
  };
}

/** A media type without its parameters. */
function bare(mediaType: string): string {
  return mediaType.split(';')[0]!.trim();
}

/** Whether a layer may be stored elsewhere, at its urls. */
export function isForeign({ mediaType, urls }: Pick<Descriptor, 'mediaType' | 'urls'>): boolean {
  return urls !== undefined || /\.(foreign|nondistributable)\./.test(mediaType);
}

function unknownType(what: string, known: readonly string[], found: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', `unknown ${what} media type`, {
    expected: known.join(' or '),
    found: found || 'none',
    where,
  });
}

/** @throws PanamaxError `bad-input` */
export function parseConfig(bytes: Uint8Array, manifest: Manifest, where: string): Config {
  const record = asRecord(parseDocument(bytes, where), where);
  const rootfs = asRecord(record['rootfs'] ?? {}, `${where} rootfs`);
  const diffIDs = asArray(rootfs['diff_ids'] ?? [], `${where} diff_ids`).map((value, i) =>
    parseDigest(value, `${where} diff_ids[${i}]`),
  );
  if (diffIDs.length !== manifest.layers.length) {
    throw new PanamaxError('bad-input', 'config and manifest differ in the number of layers', {
      expected: `${manifest.layers.length} diff_ids`,
      found: diffIDs.length,
      where,
    });
  }
  const variant = record['variant'];
  return {
    diffIDs,
    platform: {
      os: asString(record['os'] ?? 'linux', `${where} os`),
      architecture: asString(record['architecture'] ?? '', `${where} architecture`),
      ...(typeof variant === 'string' && variant ? { variant } : {}),
    },
  };
}

/**
 * Whether a document is an index. Its own media type decides, then that of its descriptor, then its fields: old
 * registries and clients leave the media type out, or name `application/json`.
 *
 * @throws PanamaxError `bad-input`
 */
export function isIndex(bytes: Uint8Array, declared: string, where: string): boolean {
  const record = asRecord(parseDocument(bytes, where), where);
  for (const type of [record['mediaType'], declared]) {
    if (typeof type !== 'string') continue;
    if (INDEX_TYPES.includes(type)) return true;
    if (MANIFEST_TYPES.includes(type)) return false;
  }
  return Array.isArray(record['manifests']) && !record['config'] && !record['layers'];
}

/** An entry of an index. Some fields of an entry that cannot be used are known nevertheless. */
export interface IndexEntry extends Pick<Descriptor, 'platform' | 'annotations'> {
  readonly artifactType?: string;
  /** @throws PanamaxError `bad-input` for an entry that cannot be used, such as one with a digest by SHA-512 */
  descriptor(): Descriptor;
}

/**
 * The entries of an image index (OCI image-spec, image-index.md) or a Docker manifest list.
 *
 * @throws PanamaxError `bad-input` for another document; a damaged entry is refused when it is used
 */
export function parseIndex(bytes: Uint8Array, where: string): readonly IndexEntry[] {
  const record = asRecord(parseDocument(bytes, where), where);
  return asArray(record['manifests'] ?? [], `${where} manifests`).map((value, i) => {
    const item = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    const { artifactType } = item;
    return {
      ...hintsOf(item),
      ...(typeof artifactType === 'string' && artifactType && { artifactType }),
      descriptor: () => parseDescriptor(value, `${where} manifests[${i}]`),
    };
  });
}
