/** Archives of images in all forms: docker's, crane's, containerd's, and OCI archives. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { unpackImage } from '../../../lib/image/layerstream.ts';
import { openImage } from '../../../lib/image/open.ts';
import { configOf, containerdSave, craneSave, dockerSave } from '../../support/dockerarchive.ts';
import type { Scope } from '../../support/scope.ts';
import { writeTar } from '../../support/tar.ts';
import { repairBlobs } from '../repair.ts';
import { smallImages, smallLayers } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const LIMITS = { ...DEFAULT_LIMITS, maxImageSize: 1 << 22, maxEntries: 2000, maxDocumentSize: 1 << 18 };

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { directory, target, images } = await smallImages(scope);
  const layers = smallLayers(2);
  const contents = { config: configOf(layers), layers };
  const entries = [];
  for (const item of await readdir(target, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue;
    const path = join(item.parentPath, item.name);
    entries.push({ path: path.slice(target.length + 1), content: await readFile(path) });
  }
  const [archive, stream] = [join(directory, 'archive'), join(directory, 'stream')];
  return {
    seeds: [
      dockerSave(contents),
      craneSave(contents),
      await containerdSave(target, images[1]),
      writeTar(entries),
    ],
    kinds: ['bad-input', 'limit', 'not-found', 'usage'],
    words: ['app:2', 'linux', 'amd64', 'arm64', '../', '"layers":null', '/layer.tar', 'sha256:'],
    repair: repairBlobs,
    async run(input) {
      await writeFile(archive, input);
      const options = { limits: LIMITS, platform: { os: 'linux', architecture: 'amd64' } };
      const image = await openImage({ transport: 'docker-archive', path: archive }, options);
      try {
        await unpackImage(image, stream, LIMITS);
      } finally {
        await rm(stream, { force: true });
      }
    },
  };
}
