import { join } from 'node:path';
import type { Digest } from '../digest.ts';
import type { Engine } from '../image/engine/engine.ts';
import { formatReleaseName } from '../image/oci/releasename.ts';
import { openRepositoryImage } from '../image/open.ts';
import { writeArchive } from '../image/write/archive.ts';
import { storedBlobs } from '../image/write/imageblobs.ts';
import { createScratch } from '../runtime/scratch.ts';
import { checkRequirements } from './choice/requirements.ts';
import { engineName, type PullTask, type Site } from './site.ts';

/** Memory of a process that copies an image, in bytes. */
const MEMORY = 256 * 1024 ** 2;
/** Tar headers and documents of an image, in bytes. */
const OVERHEAD = 16 * 1024 ** 2;

/** Whether `pullWhole` leaves the pull to the engine, so that the bytes it moves are not known. */
export function pullsItself({ engine, openRegistry }: Pick<Site, 'engine' | 'openRegistry'>): boolean {
  return engine?.transport !== 'containerd' || !openRegistry;
}

/**
 * Brings an image from its registry without patches, by the engine's own pull. For containerd the image is copied to
 * an archive and loaded, because `ctr` does not read Docker's credentials.
 *
 * @param trusted the digest that a trusted key has signed for the name: pulled even if the tag has moved
 */
export async function pullWhole(
  { name, platform }: PullTask,
  trusted: Digest | undefined,
  { engine, openRegistry, limits, signal, scratch: parent, state }: Site & { readonly engine: Engine },
  onBytes: (count: number) => void,
): Promise<void> {
  const digest = trusted ?? name.digest;
  const pinned = digest && formatReleaseName({ repository: name.repository, digest });
  if (!openRegistry || pullsItself({ engine, openRegistry })) {
    await engine.pull(pinned ?? formatReleaseName(name));
    if (pinned) await engine.tag(pinned, engineName(name));
    return;
  }
  const image = await openRepositoryImage(
    openRegistry(onBytes),
    digest ?? name.tag!,
    { transport: 'docker', path: formatReleaseName(name) },
    { limits, signal, ...(platform && { platform }) },
  );
  const size = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  await checkRequirements({ scratch: size + OVERHEAD, state: 0, memory: MEMORY }, parent, state);
  await using scratch = await createScratch(parent);
  const path = join(scratch.path, 'image.tar');
  await writeArchive(storedBlobs(image), path, engineName(name));
  await engine.load(path);
  if (pinned) await engine.tag(engineName(name), pinned);
}
