import type { ArtifactForm, FormatName, PatchFormat } from '../../delta/format.ts';
import { formatNamed, patchFormats } from '../../delta/formats.ts';
import { hexOf, isDigest, type Digest } from '../../digest.ts';
import { asArray, asRecord, parseDocument } from '../../json.ts';
import { parsePatchDescriptor, type PatchDescriptor } from '../descriptor.ts';
import { PanamaxError } from '../../errors.ts';
import { readDocument } from '../../image/blobs.ts';
import { parseDescriptor, type Descriptor } from '../../image/oci/descriptor.ts';
import type { Referrer } from '../../image/registry/referrers.ts';
import type { Repository } from '../../image/registry/registry.ts';

/** Patches beside their target in a registry (docs/formats.md). */

/** Type of an artifact whose one layer is the patch; the layer's media type tells the format. */
export const PATCH_ARTIFACT = 'application/vnd.panamax.patch.v1';
/** Media type of the pair's descriptor as the store has it: the config of a patch's artifact, or of one beside it. */
export const DESCRIPTOR_CONFIG = 'application/vnd.panamax.descriptor.v1+json';
/** Type of the artifact that has the descriptor of a patch whose format is an artifact of its own. */
export const DESCRIPTOR_ARTIFACT = 'application/vnd.panamax.descriptor.v1';
export const PREFIX = 'vnd.panamax.patch';
const MAX_LAYERS = 2000;

/** A patch in a registry. */
export interface RegistryPatch {
  readonly format: FormatName;
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  /** Of its layers together, in bytes. */
  readonly size: number;
  /** The artifact's manifest. */
  readonly artifact: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Of the pair, as the store has it; undefined for an artifact that another program has pushed. */
  readonly pair?: PatchDescriptor & { readonly patch: NonNullable<PatchDescriptor['patch']> };
}

/** The source of an artifact, as far as its entry in the list of referrers tells. */
export interface SourceHint {
  readonly config?: Digest;
  readonly layers?: Digest;
}

/**
 * Reads the patches of a target, smallest first. Skips damaged ones, other artifacts and those of other images.
 *
 * @param referrers of the target
 * @param isWanted whether to read the manifest of an artifact with this source
 */
export async function readPatches(
  repository: Repository,
  target: Digest,
  referrers: readonly Referrer[],
  isWanted: (source: SourceHint) => boolean = () => true,
): Promise<RegistryPatch[]> {
  const patches: RegistryPatch[] = [];
  const ofKind = (kind: string) => referrers.filter(({ artifactType }) => artifactType === kind);
  const kinds = [PATCH_ARTIFACT, ...artifactForms().map(({ artifactType }) => artifactType)];
  for (const referrer of kinds.flatMap(ofKind)) {
    try {
      if (!isWanted(hintOf(referrer))) continue;
      const patch = await readArtifact(repository, referrer, target);
      const own = isArtifact(patch) ? ofKind(DESCRIPTOR_ARTIFACT) : [referrer];
      const pairs = await readPairsOf(repository, patch, own, target);
      // one entry per signature
      for (const pair of pairs) patches.push({ ...patch, pair });
      if (pairs.length === 0 && isArtifact(patch)) patches.push(patch);
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return patches.toSorted((a, b) => a.size - b.size);
}

export function isUnusable(error: unknown): boolean {
  return error instanceof PanamaxError && /^(bad-input|bad-patch|not-found|limit)$/.test(error.kind);
}

function artifactForms(): ArtifactForm[] {
  return patchFormats().flatMap(({ registry }) => (registry.kind === 'artifact' ? [registry] : []));
}

function isArtifact({ format }: Pick<RegistryPatch, 'format'>): boolean {
  return formatNamed(format).registry.kind === 'artifact';
}

/** Prefix of the annotations that name the source. */
function prefixOf(artifactType: string | undefined): string {
  const own = artifactForms().find((form) => form.artifactType === artifactType);
  return own?.annotationPrefix ?? PREFIX;
}

/** Undefined for an artifact that is no patch of a known format. */
function formatOf(artifactType: string | undefined, layers: readonly Descriptor[]): PatchFormat | undefined {
  const [layer, ...others] = layers;
  return patchFormats().find(({ registry }) =>
    registry.kind === 'artifact'
      ? registry.artifactType === artifactType
      : artifactType === PATCH_ARTIFACT && others.length === 0 && registry.mediaType === layer?.mediaType,
  );
}

function hintOf({ artifactType, annotations }: Referrer): SourceHint {
  const prefix = prefixOf(artifactType);
  const config = annotations?.[`${prefix}.source-config`];
  const layers = annotations?.[`${prefix}.source-layers`];
  return { ...(isDigest(config) && { config }), ...(isDigest(layers) && { layers }) };
}

/** Reads a referrer's manifest and checks its subject. @throws PanamaxError `bad-input` */
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

/** Reads the config of an artifact and verifies its digest. */
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
  const format = formatOf(referrer.artifactType, layers);
  const prefix = prefixOf(referrer.artifactType);
  const manifest = annotations[`${prefix}.source`];
  const config = annotations[`${prefix}.source-config`];
  if (!format || !isDigest(config) || layers.length > MAX_LAYERS) {
    throw new PanamaxError('bad-input', 'not a patch', { where });
  }
  return {
    format: format.name,
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
  const isOwnArtifact = isArtifact({ format });
  for (const candidate of artifacts) {
    const told = candidate.annotations?.[`${PREFIX}.artifact`];
    if (isOwnArtifact && told !== undefined && told !== artifact.digest) continue;
    try {
      const { record, where, annotations } = await readReferrer(repository, candidate, target);
      if (isOwnArtifact && annotations[`${PREFIX}.artifact`] !== artifact.digest) continue;
      const config = parseDescriptor(record['config'], `${where} config`);
      const pair = parsePatchDescriptor(await readConfig(repository, config), where);
      const { patch } = pair;
      const isSame =
        pair.format === format &&
        pair.source.config === source.config &&
        (isOwnArtifact || (patch?.digest === layers[0]!.digest && patch.size === layers[0]!.size));
      if (patch && isSame && pair.target.manifest === target) pairs.push({ ...pair, patch });
    } catch (error) {
      if (!isUnusable(error)) throw error;
    }
  }
  return pairs;
}

export const blobName = (digest: Digest) => `blobs/sha256/${hexOf(digest)}`;

/**
 * Writes the archive that an artifact was pushed from, bit for bit, to a new file.
 *
 * @param open the bytes of a layer, fetched and verified before
 */
export async function writePatchArchive(
  repository: Repository,
  { format, artifact, layers }: RegistryPatch,
  path: string,
  open: (layer: Descriptor) => AsyncIterable<Uint8Array>,
): Promise<void> {
  const form = formatNamed(format).registry;
  if (form.kind !== 'artifact') throw new PanamaxError('internal', 'not an artifact', { found: format });
  const { bytes } = await repository.getManifest(artifact.digest);
  const contents = layers.map((layer) => ({ ...layer, open: () => open(layer) }));
  await form.writeArchive(path, bytes, contents);
}
