import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDescriptor } from '../lib/delta/descriptor.ts';
import { PanamaxError } from '../lib/errors.ts';
import { writeChunks } from '../lib/file.ts';
import { verified } from '../lib/oci/blobs.ts';
import type { Digest, Platform } from '../lib/oci/descriptor.ts';
import { openImage } from '../lib/oci/image.ts';
import { splitTransport } from '../lib/oci/reference.ts';
import { parseRegistryName } from '../lib/registry/name.ts';
import { publishPatch } from '../lib/registry/patches.ts';
import { openRepository } from '../lib/registry/registry.ts';
import type { StageContext } from '../lib/run/context.ts';
import { keys, type PatchFormat } from '../lib/store/layout.ts';

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
  const { manifestDigest, manifestBytes, manifest } = await openImage(split, { ...options, limits, signal });
  const repository = openRepository(parseRegistryName(split.path), { limits, signal, push: true });
  const subject = { mediaType: manifest.mediaType, digest: manifestDigest, size: manifestBytes.length };
  const patches: Published['patches'][number][] = [];
  for await (const key of store.list(keys.patches(manifestDigest))) {
    const document = key.endsWith('.json') ? await store.get(key) : undefined;
    if (!document) continue;
    const pair = parseDescriptor(document, `${store.where} ${key}`);
    if (!pair.patch || pair.target.manifest !== manifestDigest) continue;
    const path = join(scratch, `publish-${randomUUID()}`);
    try {
      const stored = keys.patch(manifestDigest, pair.source.manifest, pair.format);
      await writeChunks(path, verified(await store.open(stored), pair.patch, `${store.where} ${stored}`));
      const artifact = await publishPatch(repository, subject, { pair, document, path }, limits);
      patches.push({ format: pair.format, source: pair.source.manifest, size: pair.patch.size, artifact });
    } finally {
      await rm(path, { force: true });
    }
  }
  return { reference, target: manifestDigest, patches };
}
