import { parseDigest, type Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../../json.ts';
import type { Limits } from '../../limits.ts';
import { parseDescriptor, type Descriptor, type Platform } from './descriptor.ts';

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
const INDEX_TYPES: readonly string[] = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerIndex];
const MANIFEST_TYPES: readonly string[] = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest];

/** Layers of OCI (also non-distributable) and Docker, as plain tar, gzip or zstd. */
const LAYER_TYPE =
  /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip|\.zstd)?)$/;

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
  const mediaType = asString(record['mediaType'] ?? MEDIA_TYPES.ociManifest, `${where} mediaType`);
  if (!MANIFEST_TYPES.includes(mediaType)) throw unknownType('manifest', MANIFEST_TYPES, mediaType, where);
  if (!CONFIG_TYPES.includes(config.mediaType)) {
    throw unknownType('config', CONFIG_TYPES, config.mediaType, where);
  }
  const layers = asArray(record['layers'], `${where} layers`);
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
      if (!LAYER_TYPE.test(layer.mediaType)) {
        throw unknownType('layer', ['an image layer as tar, gzip or zstd'], layer.mediaType, where);
      }
      return layer;
    }),
  };
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
  const rootfs = asRecord(record['rootfs'], `${where} rootfs`);
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

export function isIndex(descriptor: Descriptor): boolean {
  return INDEX_TYPES.includes(descriptor.mediaType);
}

/** The manifests of an image index (OCI image-spec, image-index.md) or a Docker manifest list. */
export function parseIndex(bytes: Uint8Array, where: string): readonly Descriptor[] {
  const record = asRecord(parseDocument(bytes, where), where);
  return asArray(record['manifests'], `${where} manifests`).map((value, i) =>
    parseDescriptor(value, `${where} manifests[${i}]`),
  );
}
