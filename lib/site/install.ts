import type { Destination } from '../image/write/destination.ts';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyPatchFile } from '../delta/apply.ts';
import { layersDigest, type ImageName } from '../store/descriptor.ts';
import { openPatch } from '../delta/patch.ts';
import type { Engine, EngineImage } from '../image/engine/engine.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { canBeExact } from '../image/write/imageblobs.ts';
import { formatReleaseName, parseReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { imageSink, keepsManifest } from '../image/write/sink.ts';
import { createScratch } from '../runtime/scratch.ts';
import { claimPartial, type Partial } from './offers/partial.ts';
import type { Plan, PullTask, Site } from './pull.ts';
import type { Resident } from './choice/resident.ts';

/**
 * Fetches patches, applies them one behind the other, and has the engine load the result. What failed may be started
 * again.
 *
 * @param onFetched called once all patches are there, before they are applied
 * @returns whether the image has its manifest digest where it is now
 */
export async function install(
  { offer, before, target }: Plan,
  servers: readonly Resident[],
  { destination, name, isPlain = false }: PullTask,
  { engine, limits, signal, state, scratch: parent }: Site,
  onFetched: () => void,
): Promise<boolean> {
  const partials = join(state, 'partial');
  const claimed: Partial[] = [];
  try {
    let isKnown = false;
    for (const link of [...before, { offer, target }]) {
      const partial = await claimPartial(partials, link.offer.digest);
      claimed.push(partial);
      await link.offer.fetch(partial.path, partials, signal);
      isKnown = (await checkPatch(partial.path, link.target, limits)) && !isPlain;
    }
    onFetched();
    await using scratch = await createScratch(parent);
    const context = { scratch: scratch.path, limits, signal };
    let sources: string[] = [];
    for (const server of servers) sources.push(await server.reference(scratch.path));
    for (const [i, { path: patch }] of claimed.slice(0, -1).entries()) {
      const path = join(scratch.path, `built-${i}`);
      await applyPatchFile({ patch, sources, sink: imageSink({ transport: 'stream', path }) }, context);
      await clear(scratch.path, path);
      sources = [`stream:${path}`];
    }
    const archive = join(scratch.path, 'target.tar');
    const output = destination ?? archiveFor(engine!, archive, engineName(name), isKnown);
    const sink = imageSink(output, { isPlain, scratch: scratch.path, signal });
    await applyPatchFile({ patch: claimed.at(-1)!.path, sources, sink }, context);
    let isExact = isKnown && keepsManifest({ layers: [] }, output);
    if (engine && !destination) {
      // the engine makes copies of its own
      await clear(scratch.path, archive);
      await engine.load(archive).catch((error: unknown) => {
        signal.throwIfAborted();
        // whatever it misses, that is no image and no patch
        throw new PanamaxError('io', toPanamaxError(error).message, {}, { cause: error });
      });
      const loaded = await findLoaded(engine, target, engineName(name));
      isExact = loaded.manifests.includes(target.manifest);
      // there an image may be named by its digest as well
      if (isExact && engine.transport === 'containerd' && name.digest === target.manifest) {
        const { repository, digest } = name;
        await engine.tag(loaded.config, formatReleaseName({ repository, digest }));
      }
    }
    for (const partial of claimed) await partial.remove();
    return isExact;
  } catch (error) {
    const isBad = toPanamaxError(error).kind === 'bad-patch';
    for (const partial of claimed) await (isBad ? partial.remove() : partial.release());
    throw error;
  }
}

/** What is no longer needed makes room. */
async function clear(directory: string, kept: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (path !== kept) await rm(path, { recursive: true, force: true });
  }
}

/** In the form in which the engine keeps most of it. */
function archiveFor(engine: Engine, path: string, name: string, isKnown: boolean): Destination {
  const isKept = isKnown && keepsManifest({ layers: [] }, { transport: engine.transport });
  return { transport: isKept ? 'oci-archive' : 'docker-archive', path, name };
}

/** Engines name by tag alone: an image that is asked for by digest gets one that says it. */
export function engineName({ repository, tag, digest }: ReleaseName): string {
  return `${repository}:${tag ?? digest!.replace(':', '-')}`;
}

/**
 * Another image's patch may be sound in itself.
 *
 * @returns whether it says how all layers were compressed
 * @throws PanamaxError `bad-patch`
 */
async function checkPatch(path: string, { manifest, config }: ImageName, limits: Limits): Promise<boolean> {
  const { target, layers } = await openPatch(path, limits);
  if (target.manifest === manifest && target.config === config) return canBeExact({ layers });
  throw new PanamaxError('bad-patch', 'patch of another image', {
    expected: `manifest ${manifest}, image ${config}`,
    found: `manifest ${target.manifest}, image ${target.config}`,
  });
}

export function isImage(
  { config, manifests }: Pick<Resident, 'config' | 'manifests'>,
  target: ImageName,
): boolean {
  return config === target.config || manifests.includes(target.manifest);
}

/** Docker with containerd's image store makes a manifest of its own: there name and layers have to do. */
async function findLoaded(engine: Engine, target: ImageName, name: string): Promise<EngineImage> {
  const isNamed = (other: string) => formatReleaseName(parseReleaseName(other)) === name;
  const isLoaded = (image: EngineImage) =>
    isImage(image, target) || (layersDigest(image.diffIDs) === target.layers && image.names.some(isNamed));
  const loaded = (await engine.list()).find(isLoaded);
  if (loaded) return loaded;
  const facts = { expected: target.config, found: 'no such image', where: engine.transport };
  throw new PanamaxError('io', 'the engine has not taken the image', facts);
}
