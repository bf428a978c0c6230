import { join } from 'node:path';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import type { Engine, EngineImage } from '../../image/engine/engine.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../../image/oci/releasename.ts';
import type { ImageRecord } from '../../image/record.ts';
import { imageSink, keepsManifest } from '../../image/write/sink.ts';
import { layersDigest } from '../../store/descriptor.ts';
import { isImage } from '../choice/resident.ts';
import { engineName } from '../site.ts';
import type { Sink } from './sink.ts';

const pathIn = (scratch: string) => join(scratch, 'image.tar');

/**
 * Loads images into an engine under a name. The archive has the form of which the engine keeps most: its manifest, if
 * the engine and the image allow that.
 */
export function engineSink(
  engine: Engine,
  name: ReleaseName,
  { isPlain = false, signal }: { readonly isPlain?: boolean; readonly signal: AbortSignal },
): Sink {
  return {
    async write(image, stream, scratch) {
      const isExact = !isPlain && keepsManifest(image, engine);
      const transport = isExact ? 'oci-archive' : 'docker-archive';
      const archive = { transport, path: pathIn(scratch), name: engineName(name) } as const;
      await imageSink(archive, { isPlain, signal })(image, stream);
    },
    async finish(image, scratch) {
      await engine.load(pathIn(scratch)).catch((error: unknown) => {
        signal.throwIfAborted();
        // an engine's `not-found` is not about the patch, so another patch is not tried
        throw new PanamaxError('io', toPanamaxError(error).message, {}, { cause: error });
      });
      const loaded = await findLoaded(engine, image, engineName(name));
      const isExact = loaded.manifests.includes(image.manifest);
      // containerd names images by digest, too
      if (isExact && engine.transport === 'containerd' && name.digest === image.manifest) {
        const { repository, digest } = name;
        await engine.tag(loaded.config, formatReleaseName({ repository, digest }));
      }
      return isExact;
    },
  };
}

/**
 * Docker with containerd's image store makes a manifest of its own, so there an image is recognized by its name and
 * layers.
 *
 * @throws PanamaxError `io` if the engine does not list the image
 */
async function findLoaded(engine: Engine, image: ImageRecord, name: string): Promise<EngineImage> {
  const layers = layersDigest(image.layers.map(({ diffID }) => diffID));
  const isNamed = (other: string) => formatReleaseName(parseReleaseName(other)) === name;
  const isLoaded = (found: EngineImage) =>
    isImage(found, image) || (layersDigest(found.diffIDs) === layers && found.names.some(isNamed));
  const loaded = (await engine.list()).find(isLoaded);
  if (loaded) return loaded;
  const facts = { expected: image.config, found: 'no such image', where: engine.transport };
  throw new PanamaxError('io', 'the engine has not taken the image', facts);
}
