import { digestOf, parseDigest, type Digest } from '../../../digest.ts';
import { asArray, asRecord, asString, parseDocument } from '../../../json.ts';
import { PanamaxError } from '../../../errors.ts';
import { parseDescriptor, type Descriptor } from '../../../image/oci/descriptor.ts';
import { EMPTY_DOCUMENT, EMPTY_TYPE } from '../../../image/oci/empty.ts';
import { MEDIA_TYPES } from '../../../image/oci/manifest.ts';
import { ANNOTATION_PREFIX, ARTIFACT_TYPE } from './artifact.ts';
import { parseCompression, type Compression } from '../../../compression/recipe.ts';

/** The manifest of an oci-delta artifact (github.com/containers/oci-delta, README.md, "Delta file format"). */

export const TAR_DIFF = 'application/vnd.tar-diff';

const DELTA = ANNOTATION_PREFIX;
const CONTENT = `${DELTA}.content`;
const TO = `${DELTA}.to`;
/** An annotation of panamax: compressions of the target's layers (docs/formats.md). */
const COMPRESSIONS = 'panamax.compressions';

/** The image that a delta is made from or builds. */
export interface ArtifactSubject {
  readonly manifest: Digest;
  readonly config: Digest;
}

/** A blob that builds a layer of the target: a tar-diff, or the layer as it is. */
export interface DeltaBlob {
  readonly descriptor: Descriptor;
  /** Digest of the layer, as the target's manifest has it. */
  readonly to: Digest;
}

export interface DeltaManifest {
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  readonly targetManifest: Descriptor;
  readonly targetConfig: Descriptor;
  readonly blobs: readonly DeltaBlob[];
  /** Of the target's layers, bottom first; undefined where one is not known. */
  readonly compressions: readonly (Compression | undefined)[];
}

export interface NewDeltaManifest {
  readonly source: ArtifactSubject;
  readonly targetManifest: Buffer;
  readonly targetConfig: Buffer;
  readonly blobs: readonly DeltaBlob[];
  /** Of the target's layers, bottom first. */
  readonly compressions: readonly (Compression | undefined)[];
  /** Layers that the source has. */
  readonly reused: readonly { readonly digest: Digest; readonly diffID: Digest }[];
}

/** In the key order of `oci-delta create`. */
export function serializeDeltaManifest(manifest: NewDeltaManifest): Buffer {
  const { source, targetManifest, targetConfig, blobs, reused, compressions } = manifest;
  const subject = { mediaType: MEDIA_TYPES.ociManifest, ...identityOf(targetManifest) };
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      artifactType: ARTIFACT_TYPE,
      config: { mediaType: EMPTY_TYPE, ...identityOf(EMPTY_DOCUMENT) },
      layers: [
        { ...subject, annotations: { [CONTENT]: 'image-manifest' } },
        {
          mediaType: MEDIA_TYPES.ociConfig,
          ...identityOf(targetConfig),
          annotations: { [CONTENT]: 'image-config' },
        },
        ...blobs.map(({ descriptor: { mediaType, digest, size }, to }) => ({
          mediaType,
          digest,
          size,
          annotations: { [CONTENT]: 'image-layer', [TO]: to },
        })),
      ],
      subject,
      annotations: {
        ...(reused.length > 0 && {
          [`${DELTA}.reused`]: JSON.stringify(reused.map(({ digest }) => digest)),
          [`${DELTA}.reused-diff-id`]: JSON.stringify(reused.map(({ diffID }) => diffID)),
        }),
        [`${DELTA}.source`]: source.manifest,
        [`${DELTA}.source-config`]: source.config,
        [`${DELTA}.target`]: subject.digest,
        // useless unless all are known
        ...(compressions.every(Boolean) && { [COMPRESSIONS]: JSON.stringify(compressions) }),
      },
    }),
  );
}

export function serializeDeltaIndex(manifest: Buffer): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [{ mediaType: MEDIA_TYPES.ociManifest, ...identityOf(manifest) }],
    }),
  );
}

/**
 * Layers of unknown content are ignored, as the specification requires of readers.
 *
 * @throws PanamaxError `bad-input`
 */
export function parseDeltaManifest(bytes: Uint8Array, where: string): DeltaManifest {
  const record = asRecord(parseDocument(bytes, where), where);
  if (record['artifactType'] !== ARTIFACT_TYPE) {
    throw new PanamaxError('bad-input', 'not an oci-delta artifact', {
      expected: ARTIFACT_TYPE,
      found: JSON.stringify(record['artifactType']) ?? 'no artifactType',
      where,
    });
  }
  const annotations = asRecord(record['annotations'], `${where} annotations`);
  const digest = (key: string) => parseDigest(annotations[`${DELTA}.${key}`], `${where} ${DELTA}.${key}`);
  const layers = asArray(record['layers'], `${where} layers`).map((value, i) =>
    parseDescriptor(value, `${where} layers[${i}]`),
  );
  const withContent = (content: string) => layers.filter((layer) => layer.annotations?.[CONTENT] === content);
  const one = (content: string) => {
    const [found, ...others] = withContent(content);
    if (found && others.length === 0) return found;
    throw new PanamaxError('bad-input', 'delta manifest without its one layer of a kind', {
      expected: `one ${content}`,
      found: others.length === 0 ? 0 : others.length + 1,
      where,
    });
  };
  return {
    source: {
      config: digest('source-config'),
      ...(annotations[`${DELTA}.source`] !== undefined && { manifest: digest('source') }),
    },
    targetManifest: one('image-manifest'),
    targetConfig: one('image-config'),
    blobs: withContent('image-layer').map((descriptor) => ({
      descriptor,
      to: parseDigest(descriptor.annotations?.[TO], `${where} ${TO}`),
    })),
    compressions: parseCompressions(annotations[COMPRESSIONS], `${where} ${COMPRESSIONS}`),
  };
}

function parseCompressions(value: unknown, where: string): (Compression | undefined)[] {
  if (value === undefined) return [];
  const items = asArray(parseDocument(Buffer.from(asString(value, where)), where), where);
  return items.map((item, i) => parseCompression(item, `${where}[${i}]`));
}

function identityOf(bytes: Buffer): { digest: Digest; size: number } {
  return { digest: digestOf(bytes), size: bytes.length };
}
