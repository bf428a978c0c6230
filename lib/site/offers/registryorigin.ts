import type { Digest } from '../../digest.ts';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { layersDigest, verifyPatch, type ImageName } from '../../store/descriptor.ts';
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
import { nameStatement } from '../../store/name.ts';
import type { Verify } from '../../store/key.ts';
import { acceptName } from './accepted.ts';
import { download, type Blobs } from './download.ts';
import type { Answer, Offer, Origin } from './origin.ts';
import { claimPartial, type Partial } from './partial.ts';
import type { PullTask, Site } from '../pull.ts';

/** What a layer unpacks to of what a pull moves for it, where nobody says: a guess that is mostly too high. */
const UNPACKED = 4;

/**
 * Patches beside the image in its registry.
 *
 * @param known what the name stands for, where somebody who is trusted has said it
 * @param isWanted whether it is made from an image that is here
 */
export function registryOrigin(
  task: PullTask,
  site: Site,
  repository: Repository,
  known: () => Digest | undefined,
  isWanted: (source: SourceHint) => boolean,
): Origin {
  async function open(reference: string): Promise<Image> {
    const { limits, signal } = site;
    const named = { transport: 'docker', path: formatReleaseName(task.name) } as const;
    const platform = task.platform && { platform: task.platform };
    return openRepositoryImage(repository, reference, named, { limits, signal, ...platform });
  }

  async function answerOf(image: Image, referrers: readonly Referrer[]): Promise<Answer> {
    const read = (isRead: typeof isWanted) =>
      readPatches(repository, image.manifestDigest, referrers, isRead);
    let patches = await read(isWanted);
    // of several images that are one source the annotations do not tell which ones; and others may be built
    if (patches.length === 0) patches = await read((source) => !isWanted(source));
    const pullSize = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    const target = patches.find(({ pair }) => pair)?.pair?.target ?? nameOf(image, pullSize * UNPACKED);
    return {
      target: { ...target, config: image.configDigest, layers: layersOf(image) },
      pullSize,
      layers: image.layers.map(({ diffID, descriptor: { size } }) => ({ diffID, size })),
      offers: patches.map((patch) => ({
        ...offerOf(patch, target, pullSize, repository),
        askSource: async () => askSource(patch),
      })),
    };
  }

  /** The source of a patch, where it is one image, which is beside the target. */
  async function askSource({ pair }: RegistryPatch): Promise<Answer | undefined> {
    if (!pair || pair.source.images) return undefined;
    try {
      const image = await open(pair.source.manifest);
      return await answerOf(image, await listReferrers(repository, image.manifestDigest));
    } catch (error) {
      if (isUnusable(error)) return undefined;
      throw error;
    }
  }

  return {
    label: 'the registry',
    async ask(): Promise<Answer> {
      const reference = known() ?? task.name.digest;
      const image = await open(reference ?? task.name.tag!);
      const referrers = await listReferrers(repository, image.manifestDigest);
      if (reference === undefined) await checkName(task, site, repository, image, referrers);
      return answerOf(image, referrers);
    },
  };
}

const layersOf = ({ layers }: Image) => layersDigest(layers.map(({ diffID }) => diffID));

function nameOf(image: Image, size: number): ImageName {
  const { manifestDigest: manifest, configDigest: config } = image;
  return { manifest, config, layers: layersOf(image), size };
}

/**
 * A registry's tag is what anybody who may push has made of it: where keys are trusted, one of them has to say what it
 * stands for; and what was accepted before is not taken back.
 *
 * @throws PanamaxError `untrusted`
 */
async function checkName(
  { name, platform, dryRun }: PullTask,
  { verify, state }: Site,
  repository: Repository,
  { manifestDigest }: Image,
  referrers: readonly Referrer[],
): Promise<void> {
  if (!verify) return;
  const wanted = { name: formatReleaseName(name), platform: formatPlatform(platform ?? machinePlatform()) };
  const records = await readNames(repository, manifestDigest, referrers);
  const own = records.filter(
    (record) => record.name === wanted.name && isPlatform(record.platform, wanted.platform),
  );
  let refusal: unknown;
  for (const record of own) {
    try {
      verify(nameStatement(record), record.signature, `${repository.where} ${record.name}`);
    } catch (error) {
      refusal ??= error;
      continue;
    }
    return acceptName(state, record, { keep: !dryRun });
  }
  throw (
    refusal ??
    new PanamaxError('untrusted', 'nobody has signed what the tag stands for', {
      expected: 'panamax publish --sign, or a name with a digest',
      where: `${repository.where} ${name.tag}`,
    })
  );
}

/** A variant may be left out. */
function isPlatform(found: string, wanted: string): boolean {
  return found === wanted || found === wanted.split('/').slice(0, 2).join('/');
}

function offerOf(patch: RegistryPatch, target: ImageName, pullSize: number, repository: Repository): Offer {
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

/** Blob by blob, each of which may have been begun; then the archive of them. */
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
