import { join } from 'node:path';
import { hexOf, type Digest } from '../../digest.ts';
import type { Engine } from '../../image/engine/engine.ts';
import { type Platform } from '../../image/oci/descriptor.ts';
import { parseReference } from '../../image/oci/reference.ts';
import { openImage } from '../../image/open.ts';
import type { Limits } from '../../limits.ts';
import type { ImageIdentity } from '../../store/descriptor.ts';

/** An image at the site. */
export interface Resident {
  /** The image ID. */
  readonly config: Digest;
  /** Manifests and indexes that name the image. May be empty: engines do not always keep them. */
  readonly manifests: readonly Digest[];
  /** Bottom first. */
  readonly diffIDs: readonly Digest[];
  /** For messages. */
  readonly label: string;
  /** Whether `reference` copies the image to scratch. */
  readonly isExported: boolean;
  /** Makes the image readable. @returns a reference for `openImage` */
  reference(scratch: string): Promise<string>;
}

/** Lists the images of a site. @param sources references of images in addition to the engine's */
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

/** Whether an image of the site is the target. */
export function isImage(
  { config, manifests }: Pick<Resident, 'config' | 'manifests'>,
  target: Pick<ImageIdentity, 'config' | 'manifest'>,
): boolean {
  return config === target.config || manifests.includes(target.manifest);
}
