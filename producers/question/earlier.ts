import { findRequest, loadRequest } from '../../lib/run/record.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import { listRuns } from '../../lib/run/runs.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import { formatRegistryName, parseRegistryName } from '../../lib/image/oci/registryname.ts';
import { compareVersions } from '../../lib/image/oci/version.ts';
import { openRepository } from '../../lib/image/registry/registry.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { isReferrersTag } from './expand.ts';
import { findReadable, type LookOptions } from './resolve.ts';

/** Tags of a repository that are taken, those closest before the target's. */
const TAGS = 5;
/** Last runs of the store whose targets are taken. */
const RUNS = 10;
/** Images of earlier runs at most. */
const IMAGES = 20;

/** Possible sources for targets without any given, and the places that were looked at. */
export interface Earlier {
  readonly images: readonly string[];
  /** For a message, such as `tags of docker://host/app before 2.0`. */
  readonly places: readonly string[];
}

/**
 * Finds images that sites may have: the tags just before those of the targets in their repositories, and the targets of
 * the last runs in the store. Images that cannot be read are left out.
 *
 * @throws PanamaxError `interrupted`
 */
export async function findEarlier(
  targets: readonly string[],
  store: Store,
  options: LookOptions,
): Promise<Earlier> {
  const known = new Set<string>();
  const places: string[] = [];
  for (const target of targets) {
    const found = await findEarlierTags(target, options);
    if (!found) continue;
    places.push(found.place);
    for (const image of found.images) known.add(image);
  }
  const runs = (await Array.fromAsync(listRuns(store))).slice(-RUNS);
  places.push(`the last runs of ${store.where}`);
  for (const run of runs.reverse()) {
    const request = await loadRequest(store, run).catch(unlessGone);
    for (const image of request?.targets ?? [])
      if (known.size < IMAGES + TAGS * targets.length) known.add(image);
  }
  for (const target of targets) known.delete(target);
  return { images: await findReadable([...known], options), places };
}

/**
 * Adds earlier images to the sources of a run. A run that is continued keeps its sources.
 *
 * @throws PanamaxError `interrupted`; the store's errors
 */
export async function addEarlier(
  plan: RunRequest,
  store: Store,
  options: LookOptions,
): Promise<{ readonly plan: RunRequest; readonly places: readonly string[] }> {
  const before = await findRequest(store, plan.id);
  if (before) return { plan: { ...plan, residents: before.residents }, places: [] };
  const { images, places } = await findEarlier(plan.targets, store, options);
  const [residents] = plan.residents;
  const all = { ...residents!, images: [...residents!.images, ...images] };
  return { plan: { ...plan, residents: [all] }, places };
}

/** A run that was removed, or is damaged, offers nothing. */
function unlessGone(error: unknown): undefined {
  if (!(error instanceof PanamaxError && /^(?:not-found|bad-input)$/.test(error.kind))) throw error;
}

async function findEarlierTags(target: string, options: LookOptions) {
  const split = splitTransport(target);
  if (split?.transport !== 'docker') return undefined;
  const { registry, repository, tag } = parseRegistryName(split.path);
  if (tag === undefined) return undefined;
  const name = formatRegistryName({ registry, repository });
  const place = `tags of docker://${name} before ${tag}`;
  const tags: string[] = [];
  try {
    for await (const other of openRepository({ registry, repository }, options).listTags()) {
      if (!isReferrersTag(other) && compareVersions(other, tag) < 0) tags.push(other);
    }
  } catch {
    options.signal.throwIfAborted();
    // many registries let a user read a tag, but not list them
    return { place: `${place} (they cannot be listed)`, images: [] };
  }
  const closest = tags.sort(compareVersions).slice(-TAGS);
  return { place, images: closest.map((other) => `docker://${name}:${other}`) };
}
