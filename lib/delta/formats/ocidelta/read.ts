import type { Digest } from '../../../digest.ts';
import { PanamaxError } from '../../../errors.ts';
import type { Limits } from '../../../limits.ts';
import { openArchive } from '../../../image/archive.ts';
import { archiveBlobs, readDocument, verified } from '../../../image/blobs.ts';
import { parseConfig, parseIndex, parseManifest } from '../../../image/oci/manifest.ts';
import { formatPlatform } from '../../../image/oci/platform.ts';
import type { Compression } from '../../../compression/recipe.ts';
import { parseDeltaManifest, TAR_DIFF } from './document.ts';

/** An oci-delta artifact: its source, its target and how each layer is built. */
export interface OciDelta {
  /** Names the file in errors. */
  readonly where: string;
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  readonly target: {
    readonly manifest: Digest;
    readonly manifestDocument: Buffer;
    readonly config: Digest;
    readonly configDocument: Buffer;
    /** `os/architecture[/variant]` */
    readonly platform: string;
  };
  /** All layers of the target, bottom first. */
  readonly layers: readonly DeltaLayer[];
}

export interface DeltaLayer {
  readonly diffID: Digest;
  /** As the target's manifest names it. */
  readonly digest: Digest;
  readonly compression?: Compression;
  /** A `reused` layer is taken from the source. */
  readonly kind: 'reused' | 'tar-diff' | 'whole';
  /** Digest of its blob in the artifact; undefined for a reused layer. */
  readonly stored?: Digest;
  /** Its bytes in the artifact, verified once they have been read to the end; none for a reused layer. */
  blob(): AsyncIterable<Uint8Array>;
}

/**
 * Reads the documents of an artifact in a tar, of this program or of `oci-delta create`.
 *
 * @throws PanamaxError `bad-patch` for a damaged artifact or another kind of file; `limit`, `not-found`, `io`
 */
export async function readOciDelta(path: string, limits: Limits): Promise<OciDelta> {
  try {
    return await read(path, limits);
  } catch (error) {
    throw asBadPatch(error);
  }
}

/** Turns `bad-input`, and `not-found` for a missing blob, into `bad-patch`. */
export function asBadPatch(error: unknown): unknown {
  if (!(error instanceof PanamaxError) || !['bad-input', 'not-found'].includes(error.kind)) return error;
  const bad = new PanamaxError('bad-patch', error.message, {}, { cause: error });
  return Object.assign(bad, { facts: error.facts });
}

async function read(path: string, limits: Limits): Promise<OciDelta> {
  const archive = await openArchive(path, limits);
  const blobs = archiveBlobs(archive);
  if (!archive.has('index.json')) {
    throw new PanamaxError('bad-input', 'not an oci-delta artifact', { expected: 'index.json', where: path });
  }
  const [entry, ...others] = parseIndex(await archive.readDocument('index.json'), `${path} index.json`);
  if (!entry || others.length > 0) {
    throw new PanamaxError('bad-input', 'not an oci-delta artifact', {
      expected: 'one manifest',
      found: entry ? others.length + 1 : 0,
      where: path,
    });
  }
  const descriptor = entry.descriptor();
  const delta = parseDeltaManifest(
    await readDocument(blobs, descriptor, limits),
    `${path} ${descriptor.digest}`,
  );
  const manifestDocument = await readDocument(blobs, delta.targetManifest, limits);
  const manifest = parseManifest(manifestDocument, limits, `${path} ${delta.targetManifest.digest}`);
  if (manifest.config.digest !== delta.targetConfig.digest) {
    throw new PanamaxError('bad-input', 'config of another image', {
      expected: manifest.config.digest,
      found: delta.targetConfig.digest,
      where: path,
    });
  }
  const configDocument = await readDocument(blobs, delta.targetConfig, limits);
  const config = parseConfig(configDocument, manifest, `${path} ${delta.targetConfig.digest}`);
  const byTarget = new Map(delta.blobs.map(({ to, descriptor }) => [to, descriptor]));
  return {
    where: path,
    source: delta.source,
    target: {
      manifest: delta.targetManifest.digest,
      manifestDocument,
      config: delta.targetConfig.digest,
      configDocument,
      platform: formatPlatform(config.platform),
    },
    layers: manifest.layers.map(({ digest }, i) => {
      const blob = byTarget.get(digest);
      const compression = delta.compressions[i];
      return {
        diffID: config.diffIDs[i]!,
        digest,
        ...(compression && { compression }),
        ...(blob && { stored: blob.digest }),
        kind: !blob ? 'reused' : blob.mediaType === TAR_DIFF ? 'tar-diff' : 'whole',
        async *blob() {
          if (blob) yield* verified(await blobs.open(blob.digest), blob, `${path} ${blob.digest}`);
        },
      };
    }),
  };
}
