import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDescriptor, serializeDescriptor, signDescriptor } from '../lib/delta/descriptor.ts';
import { PanamaxError } from '../lib/errors.ts';
import { writeChunks } from '../lib/file.ts';
import { verified } from '../lib/oci/blobs.ts';
import type { Digest, Platform } from '../lib/oci/descriptor.ts';
import { openImage, type Image } from '../lib/oci/image.ts';
import { formatPlatform } from '../lib/oci/platform.ts';
import { splitTransport } from '../lib/oci/reference.ts';
import { parseRegistryName } from '../lib/registry/name.ts';
import { publishPatch } from '../lib/registry/publication.ts';
import { pushName } from '../lib/registry/names.ts';
import { openRepository } from '../lib/registry/registry.ts';
import { releaseNameOf } from '../lib/oci/releasename.ts';
import type { StageContext } from '../lib/run/context.ts';
import { keys, type PatchFormat } from '../lib/store/layout.ts';
import { readName, type NameRecord } from '../lib/store/name.ts';
import { publishName } from '../workers/name.ts';

export interface Published {
  readonly reference: string;
  readonly target: Digest;
  readonly patches: readonly {
    readonly format: PatchFormat;
    readonly source: Digest;
    readonly size: number;
    /** Of the artifact's manifest in the registry. */
    readonly artifact: Digest;
  }[];
}

/**
 * Puts the patches that the store has to an image of a registry beside it there. What is there stays; a second time
 * changes nothing.
 *
 * @throws PanamaxError `usage` for another kind of reference, `bad-input` for damaged patches, `io`
 */
export async function publish(
  { reference, ...options }: { readonly reference: string; readonly platform?: Platform },
  context: StageContext,
): Promise<Published> {
  const { store, limits, signal, scratch } = context;
  const split = splitTransport(reference);
  if (split?.transport !== 'docker') {
    throw new PanamaxError('usage', 'no image of a registry', {
      expected: 'docker://NAME',
      found: reference,
    });
  }
  const image = await openImage(split, { ...options, limits, signal });
  const { manifestDigest, manifestBytes, manifest } = image;
  const repository = openRepository(parseRegistryName(split.path), { limits, signal, push: true });
  const subject = { mediaType: manifest.mediaType, digest: manifestDigest, size: manifestBytes.length };
  const patches: Published['patches'][number][] = [];
  for await (const key of store.list(keys.patches(manifestDigest))) {
    const stored = key.endsWith('.json') ? await store.get(key) : undefined;
    if (!stored) continue;
    const found = parseDescriptor(stored, `${store.where} ${key}`);
    const pair = signDescriptor(found, context.sign);
    const document = context.sign ? serializeDescriptor(pair) : stored;
    if (!pair.patch || pair.target.manifest !== manifestDigest) continue;
    const path = join(scratch, `publish-${randomUUID()}`);
    try {
      const file = keys.patch(manifestDigest, pair.source.manifest, pair.format);
      await writeChunks(path, verified(await store.open(file), pair.patch, `${store.where} ${file}`));
      const artifact = await publishPatch(repository, subject, { pair, document, path }, limits);
      patches.push({ format: pair.format, source: pair.source.manifest, size: pair.patch.size, artifact });
    } finally {
      await rm(path, { force: true });
    }
  }
  const name = await nameOf(reference, image, context);
  if (name) await pushName(repository, subject, name);
  return { reference, target: manifestDigest, patches };
}

/** What the store says that the reference's tag stands for, if that is this image; signed where there is a key. */
async function nameOf(
  reference: string,
  { manifestDigest: manifest, platform }: Image,
  context: StageContext,
): Promise<NameRecord | undefined> {
  const name = releaseNameOf(reference);
  if (!name) return undefined;
  if (context.sign) return publishName({ name, manifest }, context);
  const record = await readName(context.store, name, formatPlatform(platform));
  return record?.target.manifest === manifest ? record : undefined;
}
