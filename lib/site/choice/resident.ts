import { hexOf, type Digest } from '../../digest.ts';
import { join } from 'node:path';
import type { Limits } from '../../limits.ts';
import { type Platform } from '../../image/oci/descriptor.ts';
import { openImage } from '../../image/open.ts';
import { parseReference } from '../../image/oci/reference.ts';
import type { Engine } from '../../image/engine/engine.ts';

/** An image that the site has. */
export interface Resident {
  /** The image ID: engines do not always keep the manifest. */
  readonly config: Digest;
  /** That it is known by. */
  readonly manifests: readonly Digest[];
  /** Of its layers, bottom first. */
  readonly diffIDs: readonly Digest[];
  /** For people. */
  readonly label: string;
  /** Whether `reference` makes a copy of it on scratch first. */
  readonly isExported: boolean;
  /** @returns a reference that can be read */
  reference(scratch: string): Promise<string>;
}

/** @param sources references of images that no engine has */
export async function findResidents(
  engine: Engine | undefined,
  sources: readonly string[],
  options: { readonly limits: Limits; readonly platform?: Platform },
): Promise<Resident[]> {
  const residents: Resident[] = [];
  for (const source of sources) {
    const { configDigest, manifestDigest, layers } = await openImage(await parseReference(source), options);
    residents.push({
      config: configDigest,
      manifests: [manifestDigest],
      diffIDs: layers.map(({ diffID }) => diffID),
      label: source,
      isExported: false,
      reference: async () => source,
    });
  }
  for (const { config, manifests, diffIDs, names } of (await engine?.list()) ?? []) {
    residents.push({
      config,
      manifests,
      diffIDs,
      label: names[0] ?? config,
      isExported: true,
      async reference(scratch) {
        const path = join(scratch, `source-${hexOf(config)}.tar`);
        await engine!.export(config, path);
        return `docker-archive:${path}`;
      },
    });
  }
  return residents;
}
