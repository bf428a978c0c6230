import type { Digest } from '../digest.ts';
import { join } from 'node:path';
import type { Engine } from '../image/engine/engine.ts';
import { writeArchive } from '../image/write/archive.ts';
import { storedBlobs } from '../image/write/imageblobs.ts';
import { openRepositoryImage } from '../image/open.ts';
import { formatReleaseName } from '../image/oci/releasename.ts';
import { createScratch } from '../runtime/scratch.ts';
import { engineName } from './install.ts';
import { checkNeed } from './choice/requirements.ts';
import type { PullTask, Site } from './pull.ts';

/** Of a process that copies an image, and tar headers and documents. */
const MEMORY = 256 * 1024 ** 2;
const OVERHEAD = 16 * 1024 ** 2;

/** Whether the engine pulls what no patch brings, so that nobody but it knows what that moves. */
export function pullsItself({ engine, openRegistry }: Pick<Site, 'engine' | 'openRegistry'>): boolean {
  return engine?.transport !== 'containerd' || !openRegistry;
}

/**
 * Brings an image from its registry without patches: by the engine's own pull, or, for containerd, whose `ctr` knows
 * nothing of Docker's credentials, by a copy of it that is loaded.
 *
 * @param trusted where keys say what the name stands for: that is pulled, whatever the tag has become
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
  await checkNeed({ scratch: size + OVERHEAD, state: 0, memory: MEMORY }, parent, state);
  await using scratch = await createScratch(parent);
  const path = join(scratch.path, 'image.tar');
  await writeArchive(storedBlobs(image), path, engineName(name));
  await engine.load(path);
  if (pinned) await engine.tag(engineName(name), pinned);
}
