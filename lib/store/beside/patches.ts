import type { PatchFormat } from '../../delta/format.ts';
import { digestOf, hexOf, isDigest, type Digest } from '../../digest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { createWriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { parseDescriptor as parsePair, type PatchDescriptor } from '../descriptor.ts';
import {
  ARTIFACT_TYPE as OCI_DELTA,
  EMPTY_DOCUMENT,
  serializeDeltaIndex,
} from '../../delta/formats/ocidelta/document.ts';
import { PanamaxError } from '../../errors.ts';
import { readDocument } from '../../image/blobs.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import { LAYOUT_MARKER } from '../../image/write/layout.ts';
import type { Referrer } from '../../image/registry/referrers.ts';
import type { Repository } from '../../image/registry/registry.ts';

/** Patches beside their target in a registry (docs/formats.md). */

export const XDELTA_ARTIFACT = 'application/vnd.panamax.patch.v1';
export const XDELTA_LAYER = 'application/vnd.panamax.patch.v1.xdelta';
/** What the store has as the pair's descriptor: the config of an xdelta, or of an artifact beside an oci-delta. */
export const DESCRIPTOR_CONFIG = 'application/vnd.panamax.descriptor.v1+json';
/** Says of an oci-delta, which stays as it is, what its descriptor says. */
export const DESCRIPTOR_ARTIFACT = 'application/vnd.panamax.descriptor.v1';
export const PREFIX = 'vnd.panamax.patch';
const DELTA_PREFIX = 'io.github.containers.delta';
const MAX_LAYERS = 2000;

/** A patch that stands in a registry. */
export interface RegistryPatch {
  readonly format: PatchFormat;
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  /** What fetching it moves, in bytes. */
  readonly size: number;
  /** The artifact's manifest. */
  readonly artifact: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Of the pair, as the store has it; undefined for an oci-delta of others. */
  readonly pair?: PatchDescriptor & { readonly patch: NonNullable<PatchDescriptor['patch']> };
}

/** What an artifact says of its source before it is looked at. */
export interface SourceHint {
  readonly config?: Digest;
  readonly layers?: Digest;
}

/**
 * Patches to a target, smallest first. What is damaged, of another kind or another image is passed over.
 *
 * @param referrers of the target
 * @param isWanted leaves out, unread, what is made from something else
 */
export async function readPatches(
  repository: Repository,
  target: Digest,
  referrers: readonly Referrer[],
  isWanted: (source: SourceHint) => boolean = () => true,
): Promise<RegistryPatch[]> {
  const patches: RegistryPatch[] = [];
  const ofKind = (kind: string) => referrers.filter(({ artifactType }) => artifactType === kind);
  for (const referrer of [...ofKind(XDELTA_ARTIFACT), ...ofKind(OCI_DELTA)]) {
    try {
      if (!isWanted(hintOf(referrer))) continue;
      const patch = await readArtifact(repository, referrer, target);
      const own = referrer.artifactType === XDELTA_ARTIFACT ? [referrer] : ofKind(DESCRIPTOR_ARTIFACT);
      const pairs = await readPairsOf(repository, patch, own, target);
      // one with each signature
      for (const pair of pairs) patches.push({ ...patch, pair });
      if (pairs.length === 0 && patch.format === 'oci-delta') patches.push(patch);
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return patches.toSorted((a, b) => a.size - b.size);
}

export function isUnusable(error: unknown): boolean {
  return error instanceof PanamaxError && /^(bad-input|bad-patch|not-found|limit)$/.test(error.kind);
}

function hintOf({ artifactType, annotations }: Referrer): SourceHint {
  const prefix = artifactType === OCI_DELTA ? DELTA_PREFIX : PREFIX;
  const config = annotations?.[`${prefix}.source-config`];
  const layers = annotations?.[`${prefix}.source-layers`];
  return { ...(isDigest(config) && { config }), ...(isDigest(layers) && { layers }) };
}

/** A manifest with a subject, checked to be the target. @throws PanamaxError `bad-input` */
export async function readReferrer(repository: Repository, { digest }: Referrer, target: Digest) {
  const { bytes } = await repository.getManifest(digest);
  const where = `${repository.where} ${digest}`;
  const record = asRecord(parseDocument(bytes, where), where);
  const subject = parseDescriptor(record['subject'], `${where} subject`);
  if (subject.digest !== target) {
    const facts = { expected: target, found: subject.digest, where };
    throw new PanamaxError('bad-input', 'refers to another image', facts);
  }
  return { bytes, record, where, annotations: asRecord(record['annotations'] ?? {}, where) };
}

/** The config of an artifact, verified. */
export async function readConfig(repository: Repository, config: Descriptor): Promise<Buffer> {
  const { where, limits } = repository;
  return readDocument({ where, open: async (digest) => repository.openBlob(digest) }, config, limits);
}

async function readArtifact(
  repository: Repository,
  referrer: Referrer,
  target: Digest,
): Promise<RegistryPatch> {
  const { bytes, record, where, annotations } = await readReferrer(repository, referrer, target);
  const layers = asArray(record['layers'], where).map((layer) => parseDescriptor(layer, `${where} layers`));
  const isDelta = referrer.artifactType === OCI_DELTA;
  const prefix = isDelta ? DELTA_PREFIX : PREFIX;
  const manifest = annotations[`${prefix}.source`];
  const config = annotations[`${prefix}.source-config`];
  if (!isDigest(config) || layers.length > MAX_LAYERS || (!isDelta && layers.length !== 1)) {
    throw new PanamaxError('bad-input', 'not a patch', { where });
  }
  return {
    format: isDelta ? 'oci-delta' : 'xdelta',
    source: { config, ...(isDigest(manifest) && { manifest }) },
    size: layers.reduce((sum, { size }) => sum + size, 0),
    artifact: { mediaType: referrer.mediaType, digest: referrer.digest, size: bytes.length },
    layers,
  };
}

/** @param artifacts that may have the patch's descriptor as their config */
async function readPairsOf(
  repository: Repository,
  { format, source, artifact, layers }: RegistryPatch,
  artifacts: readonly Referrer[],
  target: Digest,
): Promise<NonNullable<RegistryPatch['pair']>[]> {
  const pairs: NonNullable<RegistryPatch['pair']>[] = [];
  for (const candidate of artifacts) {
    const told = candidate.annotations?.[`${PREFIX}.artifact`];
    if (format === 'oci-delta' && told !== undefined && told !== artifact.digest) continue;
    try {
      const { record, where, annotations } = await readReferrer(repository, candidate, target);
      if (format === 'oci-delta' && annotations[`${PREFIX}.artifact`] !== artifact.digest) continue;
      const config = parseDescriptor(record['config'], `${where} config`);
      const pair = parsePair(await readConfig(repository, config), where);
      const { patch } = pair;
      const isSame =
        pair.format === format &&
        pair.source.config === source.config &&
        (format === 'oci-delta' || (patch?.digest === layers[0]!.digest && patch.size === layers[0]!.size));
      if (patch && isSame && pair.target.manifest === target) pairs.push({ ...pair, patch });
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return pairs;
}

export const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;

/**
 * Writes the archive that an oci-delta was pushed from, bit for bit, to a new file.
 *
 * @param open the bytes of a layer, that were fetched and verified before
 */
export async function writeDeltaArchive(
  repository: Repository,
  { artifact, layers }: RegistryPatch,
  path: string,
  open: (layer: Descriptor) => AsyncIterable<Uint8Array>,
): Promise<void> {
  const { bytes } = await repository.getManifest(artifact.digest);
  const fixed = { mtime: new Date(0), uid: 0, gid: 0 };
  const tar = pack();
  const fill = async () => {
    const add = (name: string, content: Buffer) => tar.entry({ ...fixed, name, mode: 0o644 }, content);
    add('oci-layout', LAYOUT_MARKER);
    for (const name of ['blobs/', 'blobs/sha256/'])
      tar.entry({ ...fixed, name, type: 'directory', mode: 0o755 });
    for (const layer of new Map(layers.map((layer) => [layer.digest, layer])).values()) {
      const entry = tar.entry({ ...fixed, name: blobName(layer.digest), mode: 0o644, size: layer.size });
      const done = finished(entry);
      await Promise.all([pipeline(open(layer), entry), done]);
    }
    add(blobName(digestOf(EMPTY_DOCUMENT)), EMPTY_DOCUMENT);
    add(blobName(artifact.digest), bytes);
    add('index.json', serializeDeltaIndex(bytes));
    tar.finalize();
  };
  const written = pipeline(tar, createWriteStream(path, { flags: 'wx' }));
  try {
    await Promise.all([fill(), written]);
  } catch (error) {
    tar.destroy();
    await written.catch(() => {});
    throw error;
  }
}
