import type { FormatName } from '../../lib/delta/format.ts';
import type { Digest } from '../../lib/digest.ts';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  parsePatchDescriptor,
  serializePatchDescriptor,
  signDescriptor,
  type PatchDescriptor,
} from '../../lib/store/descriptor.ts';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { writeChunks } from '../../lib/runtime/file.ts';
import { verified } from '../../lib/image/blobs.ts';
import type { Descriptor, Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage, type Image } from '../../lib/image/open.ts';
import { formatPlatform } from '../../lib/image/oci/platform.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import { releaseNameOf } from '../../lib/image/oci/releasename.ts';
import { parseRegistryName, pinnedReference } from '../../lib/image/oci/registryname.ts';
import { pushName } from '../../lib/store/beside/names.ts';
import { publishPatch } from '../../lib/store/beside/publish.ts';
import { openRepository, type Repository } from '../../lib/image/registry/registry.ts';
import type { StageContext } from '../context.ts';
import type { NamedImage } from '../../lib/run/schemas.ts';
import { keys } from '../../lib/store/keys.ts';
import { readName } from '../../lib/store/name.ts';

/** An image in a registry, and the repository in which patches are published beside it. */
export interface Beside {
  readonly image: Image;
  readonly repository: Repository;
  readonly subject: Descriptor;
}

export interface PublishedPatch {
  readonly format: FormatName;
  readonly source: Digest;
  readonly size: number;
  /** Digest of the artifact's manifest in the registry. */
  readonly artifact: Digest;
}

/** @throws PanamaxError `usage` for an image that is not in a registry */
export async function openBeside(
  { reference, ...options }: { readonly reference: string; readonly platform?: Platform },
  { limits, signal }: Pick<StageContext, 'limits' | 'signal'>,
): Promise<Beside> {
  const split = splitTransport(reference);
  if (split?.transport !== 'docker') {
    throw new PanamaxError('usage', 'no image of a registry', {
      expected: 'docker://NAME',
      found: reference,
    });
  }
  const image = await openImage(split, { ...options, limits, signal });
  const { manifestDigest: digest, manifestBytes, manifest } = image;
  const repository = openRepository(parseRegistryName(split.path), { limits, signal, push: true });
  const subject = { mediaType: manifest.mediaType, digest, size: manifestBytes.length };
  return { image, repository, subject };
}

/**
 * Publishes a patch of the store beside its target. Existing artifacts are kept.
 *
 * @param key key of the patch's descriptor
 * @returns undefined if the store has no patch for the pair
 */
export async function publishStored(
  { repository, subject }: Beside,
  key: string,
  { store, limits, scratch, sign }: Pick<StageContext, 'store' | 'limits' | 'scratch' | 'sign'>,
): Promise<PublishedPatch | undefined> {
  const stored = await store.get(key);
  if (!stored) return undefined;
  const pair = signDescriptor(parsePatchDescriptor(stored, `${store.where} ${key}`), sign);
  const document = sign ? serializePatchDescriptor(pair) : stored;
  const { patch, format, source, target } = pair;
  if (!patch || target.manifest !== subject.digest) return undefined;
  const path = join(scratch, `publish-${randomUUID()}`);
  try {
    const file = keys.patch(target.manifest, source.manifest, format);
    await writeChunks(path, verified(await store.open(file), patch, `${store.where} ${file}`));
    const artifact = await publishPatch(repository, subject, { pair, document, path }, limits);
    return { format, source: source.manifest, size: patch.size, artifact };
  } finally {
    await rm(path, { force: true });
  }
}

/** Delay while another job publishes beside the same image, in milliseconds. */
const PATIENCE = 500;

/**
 * Publishes the patches of a pair beside their target, if that is in a registry. One job at a time publishes beside an
 * image, since concurrent updates of the same referrers tag would be lost.
 */
export async function publishPair(
  { reference, manifest }: NamedImage,
  pairs: readonly PatchDescriptor[],
  context: StageContext,
): Promise<void> {
  const pinned = pinnedReference(reference, manifest);
  if (pinned === undefined) return;
  const push = async () => {
    const beside = await openBeside({ reference: pinned }, context);
    for (const { source, format } of pairs) {
      await publishStored(beside, keys.descriptor(manifest, source.manifest, format), context);
    }
  };
  if (!context.runExclusive) return push();
  while (!(await context.runExclusive(`publish.${manifest}`, push))) {
    await delay(PATIENCE, undefined, { signal: context.signal });
  }
}

/**
 * Publishes the name records of the store beside their images. If a registry refuses them for good, that is logged only:
 * the patches are published.
 */
export async function pushNames(
  references: readonly string[],
  manifests: { get(reference: string): Digest | undefined },
  context: Pick<StageContext, 'store' | 'limits' | 'signal' | 'log' | 'checkReference'>,
): Promise<void> {
  const { store, log } = context;
  for (const reference of references) {
    const name = releaseNameOf(reference);
    const manifest = manifests.get(reference);
    const pinned = manifest && pinnedReference(reference, manifest);
    if (!name || !pinned) continue;
    try {
      await context.checkReference?.(reference);
      const { image, repository, subject } = await openBeside({ reference: pinned }, context);
      const record = await readName(store, name, formatPlatform(image.platform));
      if (record?.target.manifest === manifest) await pushName(repository, subject, record);
    } catch (error) {
      const { kind, message, facts } = toPanamaxError(error);
      if (kind === 'io' && !facts.isFinal) throw error;
      log.warn({ kind, error: message, reference }, 'the name could not be published');
    }
  }
}
