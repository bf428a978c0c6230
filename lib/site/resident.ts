import { join } from 'node:path';
import { layersDigest } from '../delta/descriptor.ts';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { parseReference } from '../oci/reference.ts';
import type { Engine } from '../engine/engine.ts';

/** An image that the site has. */
export interface Resident {
  /** The image ID: engines do not always keep the manifest. */
  readonly config: Digest;
  /** That it is known by. */
  readonly manifests: readonly Digest[];
  /** `layersDigest` of its layers. */
  readonly layers: Digest;
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
      layers: layersDigest(layers.map(({ diffID }) => diffID)),
      label: source,
      isExported: false,
      reference: async () => source,
    });
  }
  for (const { config, manifests, diffIDs, names } of (await engine?.list()) ?? []) {
    residents.push({
      config,
      manifests,
      layers: layersDigest(diffIDs),
      label: names[0] ?? config,
      isExported: true,
      async reference(scratch) {
        const path = join(scratch, 'source.tar');
        await engine!.export(config, path);
        return `docker-archive:${path}`;
      },
    });
  }
  return residents;
}
