import type { Digest } from '../../digest.ts';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { layersDigest, verifyPatch, type ImageIdentity } from '../../store/descriptor.ts';
import { formatNamed } from '../../delta/formats.ts';
import { PanamaxError } from '../../errors.ts';
import { digestOfFile } from '../../runtime/filedigest.ts';
import { openRepositoryImage, type Image } from '../../image/open.ts';
import { formatPlatform, machinePlatform } from '../../image/oci/platform.ts';
import { formatReleaseName } from '../../image/oci/releasename.ts';
import { readNames } from '../../store/beside/names.ts';
import {
  isUnusable,
  readPatches,
  writePatchArchive,
  type RegistryPatch,
  type SourceHint,
} from '../../store/beside/patches.ts';
import { listReferrers, type Referrer } from '../../image/registry/referrers.ts';
import type { Repository } from '../../image/registry/registry.ts';
import { verifyName } from '../../store/nametrust.ts';
import { collectAttachments } from '../../store/attached/collect.ts';
import { registryArtifacts } from '../../store/attached/sources.ts';
import type { Verify } from '../../store/key.ts';
import { trustName } from './accepted.ts';
import { download, type Blobs } from './download.ts';
import type { Answer, ImageRequest, Offer, Origin, OriginOptions, Question } from './origin.ts';
import { claimPartial, type Partial } from './partial.ts';

/** Estimated ratio of a layer's uncompressed to its compressed size, mostly too high. */
const UNPACKED = 4;

/** Patches beside an image in its registry. */
export function registryOrigin(
  request: ImageRequest,
  options: OriginOptions,
  repository: Repository,
): Origin {
  async function open(reference: string): Promise<Image> {
    const { limits, signal } = options;
    const named = { transport: 'docker', path: formatReleaseName(request.name) } as const;
    const platform = request.platform && { platform: request.platform };
    return openRepositoryImage(repository, reference, named, { limits, signal, ...platform });
  }

  async function answerOf(
    image: Image,
    referrers: readonly Referrer[],
    residents: Question['residents'],
  ): Promise<Answer> {
    const isHere = ({ config, layers }: SourceHint) =>
      config === undefined ||
      residents.some((resident) => resident.config === config || layersDigest(resident.diffIDs) === layers);
    const read = (isRead: typeof isHere) => readPatches(repository, image.manifestDigest, referrers, isRead);
    let patches = await read(isHere);
    // annotations do not name the images of a combined source, and a source may be rebuilt
    if (patches.length === 0) patches = await read((source) => !isHere(source));
    const pullSize = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    const target = patches.find(({ pair }) => pair)?.pair?.target ?? nameOf(image, pullSize * UNPACKED);
    return {
      target: { ...target, config: image.configDigest, layers: layersOf(image) },
      pullSize,
      layers: image.layers.map(({ diffID, descriptor: { size } }) => ({ diffID, size })),
      offers: patches.map((patch) => ({
        ...offerOf(patch, target, pullSize, repository),
        askSource: async () => askSource(patch, residents),
      })),
      readAttachments: async (kinds) => {
        const { tag, digest } = request.name;
        return collectAttachments(registryArtifacts(repository), image, tag ?? digest, kinds);
      },
    };
  }

  /** Looks up the source of a patch in the target's repository. Undefined for a combined source. */
  async function askSource(
    { pair }: RegistryPatch,
    residents: Question['residents'],
  ): Promise<Answer | undefined> {
    if (!pair || pair.source.images) return undefined;
    try {
      const image = await open(pair.source.manifest);
      return await answerOf(image, await listReferrers(repository, image.manifestDigest), residents);
    } catch (error) {
      if (isUnusable(error)) return undefined;
      throw error;
    }
  }

  return {
    label: 'the registry',
    async ask({ known, residents }): Promise<Answer | string> {
      const reference = known ?? request.name.digest;
      const image = await open(reference ?? request.name.tag!);
      const referrers = await listReferrers(repository, image.manifestDigest);
      const isSigned =
        reference !== undefined || (await checkName(request, options, repository, image, referrers));
      if (!isSigned) return `the registry has no record of ${formatReleaseName(request.name)}`;
      return answerOf(image, referrers, residents);
    },
  };
}

const layersOf = ({ layers }: Image) => layersDigest(layers.map(({ diffID }) => diffID));

function nameOf(image: Image, size: number): ImageIdentity {
  const { manifestDigest: manifest, configDigest: config } = image;
  return { manifest, config, layers: layersOf(image), size };
}

/**
 * Checks that a trusted key has signed the image that a tag stands for, since anybody who may push can move a tag, and
 * that the image is not older than one accepted before.
 *
 * @returns false if the tag has no record and needs none, because the engine may pull it unsigned
 * @throws PanamaxError `untrusted`
 */
async function checkName(
  { name, platform }: ImageRequest,
  options: OriginOptions,
  repository: Repository,
  { manifestDigest }: Image,
  referrers: readonly Referrer[],
): Promise<boolean> {
  if (!options.verify) return true;
  const wanted = { name: formatReleaseName(name), platform: formatPlatform(platform ?? machinePlatform()) };
  const records = await readNames(repository, manifestDigest, referrers, wanted.name);
  const own = records.filter(
    (record) => record.name === wanted.name && isPlatform(record.platform, wanted.platform),
  );
  let refusal: unknown;
  for (const record of own) {
    const where = `${repository.where} ${record.name}`;
    try {
      verifyName(record, options, where);
    } catch (error) {
      refusal ??= error;
      continue;
    }
    await trustName(record, options, where);
    return true;
  }
  if (own.length === 0 && options.allowUnsigned) return false;
  throw (
    refusal ??
    new PanamaxError('untrusted', 'nobody has signed what the tag stands for', {
      expected: 'panamax publish --sign, or a name with a digest',
      where: `${repository.where} ${name.tag}`,
    })
  );
}

/** Whether a platform is the wanted one; its variant may be missing. */
function isPlatform(found: string, wanted: string): boolean {
  return found === wanted || found === wanted.split('/').slice(0, 2).join('/');
}

function offerOf(
  patch: RegistryPatch,
  target: ImageIdentity,
  pullSize: number,
  repository: Repository,
): Offer {
  const { format, source, size, layers, pair, artifact } = patch;
  const reader: Blobs = {
    where: repository.where,
    open: async (key, offset) => repository.openBlob(key as Digest, offset),
  };
  const [blob] = layers;
  const isBlob = formatNamed(format).registry.kind === 'blob';
  return {
    format,
    source: pair?.source ?? { config: source.config, size: target.size },
    size,
    digest: isBlob ? blob!.digest : artifact.digest,
    pullSize: pair?.sizes.pull ?? pullSize,
    verify(verify: Verify) {
      const where = `${repository.where} ${artifact.digest}`;
      if (pair) verifyPatch(pair, verify, where);
      else throw new PanamaxError('untrusted', `unsigned ${format} patch`, { where });
    },
    async fetch(path, partials, signal) {
      if (isBlob) return download(reader, { ...blob!, key: blob!.digest }, path, signal);
      await fetchDelta(patch, repository, reader, path, partials, signal);
      const found = await digestOfFile(path);
      if (!pair || found === pair.patch.digest) return;
      const facts = { expected: pair.patch.digest, found, where: `${repository.where} ${artifact.digest}` };
      throw new PanamaxError('bad-patch', 'patch is not the one that its descriptor names', facts);
    },
  };
}

/** Downloads the blobs of an artifact one by one, continuing unfinished ones, then writes the archive of them. */
async function fetchDelta(
  patch: RegistryPatch,
  repository: Repository,
  reader: Blobs,
  path: string,
  partials: string,
  signal: AbortSignal,
): Promise<void> {
  const parts = new Map<Digest, Partial>();
  try {
    for (const layer of patch.layers) {
      if (parts.has(layer.digest)) continue;
      const part = await claimPartial(partials, layer.digest);
      parts.set(layer.digest, part);
      await download(reader, { ...layer, key: layer.digest }, part.path, signal);
    }
    await rm(path, { force: true });
    const open = ({ digest }: { readonly digest: Digest }) => createReadStream(parts.get(digest)!.path);
    await writePatchArchive(repository, patch, path, open);
    for (const part of parts.values()) await part.remove();
  } catch (error) {
    for (const part of parts.values()) await part.release();
    throw error;
  }
}
