import { digestOf, parseDigest, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../json.ts';
import type { Limits } from '../limits.ts';
import type { Archive } from './archive.ts';
import { missing, type BlobSource } from './blobs.ts';
import { decompressed } from './decompress.ts';
import { compressionOf } from './magic.ts';
import { MEDIA_TYPES } from './oci/manifest.ts';
import { formatReference, type Reference } from './oci/reference.ts';

/** One image of a `docker save` archive, as its manifest.json lists it (moby image-spec v1.2). */
export interface DockerImage {
  /** Names of files in the archive. */
  readonly config: string;
  readonly layers: readonly string[];
}

/**
 * Chooses an image of a manifest.json: the only one, the one with the reference's tag, or the Nth for `@N`.
 *
 * @throws PanamaxError `bad-input`; `not-found`; `usage` if the reference does not name one of several images
 */
export function chooseDockerImage(document: unknown, reference: Reference): DockerImage {
  const where = `${reference.path} manifest.json`;
  const images = asArray(document, where).map((value, i) => ({
    tags: tagsOf(value),
    config: fieldOf(value, 'Config'),
    parse: () => parseDockerImage(value, `${where}[${i}]`),
  }));
  const { name } = reference;
  const fits =
    name === undefined
      ? images
      : images.filter((image, i) => name === `@${i}` || image.tags.some((tag) => sameTag(tag, name)));
  const [first, second] = fits;
  const found = images.map((image, i) => image.tags[0] ?? `@${i}`).join(', ') || 'none';
  if (!first) {
    throw new PanamaxError('not-found', 'no such image', { expected: name ?? 'an image', found, where });
  }
  if (second && name === undefined && new Set(fits.map(({ config }) => config)).size > 1) {
    const expected = `${formatReference(reference)}:NAME:TAG`;
    throw new PanamaxError('usage', 'several images; name one', { expected, found, where });
  }
  return first.parse();
}

function parseDockerImage(value: unknown, where: string): DockerImage {
  const record = asRecord(value, where);
  return {
    config: asString(record['Config'], `${where}.Config`),
    layers: asArray(record['Layers'] ?? [], `${where}.Layers`).map((l) => asString(l, `${where}.Layers`)),
  };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The tags of an image, whose other fields may be damaged. */
function tagsOf(value: unknown): string[] {
  const tags = fieldOf(value, 'RepoTags');
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}

/** docker.io/library/nginx:latest, nginx:latest and nginx are the same. */
function sameTag(a: string, b: string): boolean {
  return familiar(a) === familiar(b);
}

function familiar(tag: string): string {
  const short = tag.replace(/^docker\.io\//, '').replace(/^library\//, '');
  return /:[^/]*$/.test(short) ? short : `${short}:latest`;
}

/**
 * Makes a manifest for a classic archive, which has none: schema 2, with uncompressed layers named by their diffIDs.
 * Its bytes are those of skopeo, so that both name the image by the same digest. Compressed layers (of crane and
 * Bazel) are decompressed when they are opened, and once here for their size.
 */
export async function dockerManifest(
  archive: Archive,
  image: DockerImage,
  configBytes: Buffer,
  limits: Limits,
): Promise<{ manifestBytes: Buffer; blobs: BlobSource }> {
  const where = `${archive.path} ${image.config}`;
  const config = asRecord(parseDocument(configBytes, where), where);
  const rootfs = asRecord(config['rootfs'] ?? {}, `${where} rootfs`);
  const diffIDs = asArray(rootfs['diff_ids'] ?? [], `${where} diff_ids`).map((d) => parseDigest(d, where));
  if (diffIDs.length !== image.layers.length) {
    throw new PanamaxError('bad-input', 'config and manifest.json differ in the number of layers', {
      expected: diffIDs.length,
      found: image.layers.length,
      where,
    });
  }
  const files = new Map<Digest, string>(diffIDs.map((diffID, i) => [diffID, image.layers[i]!]));
  const configDigest = digestOf(configBytes);
  const openLayer = (name: string) =>
    decompressed(archive.open(name), `${archive.path} ${name}`, { limits, size: archive.storedSize(name) });
  const layers = [];
  for (const [i, digest] of diffIDs.entries()) {
    const name = image.layers[i]!;
    const size = (await isCompressed(archive.open(name)))
      ? await lengthOf(openLayer(name), limits, `${archive.path} ${name}`)
      : archive.size(name);
    layers.push({ mediaType: `${MEDIA_TYPES.dockerLayer}.gzip`, size, digest });
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.dockerManifest,
    config: { mediaType: MEDIA_TYPES.dockerConfig, size: configBytes.length, digest: configDigest },
    layers,
  };
  return {
    manifestBytes: Buffer.from(JSON.stringify(manifest)),
    blobs: {
      where: archive.path,
      async open(digest) {
        if (digest === configDigest) return archive.open(image.config);
        const name = files.get(digest);
        if (name === undefined) throw missing(digest, archive.path);
        return openLayer(name);
      },
    },
  };
}

async function isCompressed(chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
  for await (const chunk of chunks) return compressionOf(chunk) !== 'none';
  return false;
}

async function lengthOf(
  chunks: AsyncIterable<Uint8Array>,
  { maxImageSize }: Limits,
  where: string,
): Promise<number> {
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxImageSize) {
      throw new PanamaxError('limit', 'layer is over maxImageSize', {
        expected: `at most ${maxImageSize} bytes uncompressed`,
        found: 'more',
        where,
      });
    }
  }
  return length;
}
