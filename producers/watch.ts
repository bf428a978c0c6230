import * as v from 'valibot';
import { hexOf, type Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import { formatRegistryName, parseRegistryName, type RegistryName } from '../lib/image/oci/registryname.ts';
import { splitTransport } from '../lib/image/oci/reference.ts';
import { isVersion } from '../lib/image/oci/version.ts';
import { openRepository } from '../lib/image/registry/registry.ts';
import type { Limits } from '../lib/limits.ts';
import { digestSchema, objectSchema, parseWith } from '../lib/schema.ts';
import { sealDocument } from '../lib/sealed.ts';
import { keys } from '../lib/store/keys.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { expandReferences } from './question/expand.ts';

/** Finds the images that were pushed to a repository since the last look. */

const watchedSchema = objectSchema({
  version: v.literal(1),
  /** HOST/REPO */
  repository: v.string(),
  tags: v.record(v.string(), digestSchema),
});

export interface WatchOptions {
  /** Pattern of tags; by default all. */
  readonly tags?: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/** An image that was pushed. */
export interface Push {
  /** `docker://HOST/REPO:TAG@DIGEST` */
  readonly reference: string;
  /** Name of its run, which is the same for each look, so that the image is queued once. */
  readonly run: string;
}

export interface Look {
  /** Undefined at the first look: the images that are there are only noted. */
  readonly pushed: readonly Push[] | undefined;
  /** Number of tags that fit. */
  readonly tags: number;
  /** Notes the images in the store. Call it when they are queued. */
  readonly remember: () => Promise<void>;
}

/** A repository of a registry. */
export type Watched = Pick<RegistryName, 'registry' | 'repository'>;

/** Parses `docker://HOST/REPO`. @throws PanamaxError `usage` */
export function parseWatched(reference: string): Watched {
  const split = splitTransport(reference);
  const isNamed = /:[^/]*$|@/.test(split?.path ?? ':');
  if (split?.transport === 'docker' && !isNamed) {
    const { registry, repository } = parseRegistryName(split.path);
    return { registry, repository };
  }
  throw new PanamaxError('usage', 'not a repository', { expected: 'docker://HOST/REPO', found: reference });
}

/**
 * Compares the tags of a repository with those of the last look, which the store keeps. A tag that is a version is looked
 * at once; others, such as `latest`, may move.
 *
 * @throws PanamaxError `bad-input` for a damaged note; the errors of store and registry
 */
export async function lookAt(name: Watched, store: Store, options: WatchOptions): Promise<Look> {
  const path = formatRegistryName(name);
  const key = keys.watched(path);
  const bytes = await store.get(key);
  const before = bytes && parseWith(watchedSchema, bytes, `${store.where} ${key}`).tags;
  const known = new Map<string, Digest>(Object.entries(before ?? {}));
  const repository = openRepository(name, options);
  const pushed: Push[] = [];
  const tags = await tagsOf(path, options);
  for (const tag of tags) {
    const last = known.get(tag);
    if (last && isVersion(tag)) continue;
    const { digest } = await repository.getManifest(tag);
    if (digest === last) continue;
    known.set(tag, digest);
    pushed.push({ reference: `docker://${path}:${tag}@${digest}`, run: runOf(path, tag, digest) });
  }
  return {
    pushed: before && pushed,
    tags: tags.length,
    async remember() {
      const note = { version: 1, repository: path, tags: Object.fromEntries(known) };
      if (pushed.length > 0 || !before) await store.put(key, sealDocument(note, 2));
    },
  };
}

async function tagsOf(path: string, { tags = '*', limits, signal }: WatchOptions): Promise<string[]> {
  try {
    const found = await expandReferences([`docker://${path}:${tags}`], { limits, signal });
    return found.map((reference) => reference.slice(`docker://${path}:`.length));
  } catch (error) {
    // the repository may be empty, or be made by its first push
    if (error instanceof PanamaxError && error.kind === 'not-found') return [];
    throw error;
  }
}

function runOf(path: string, tag: string, digest: Digest): string {
  const name = `${path.split('/').at(-1)!}-${tag}`.replaceAll(/[^\w.-]/g, '-');
  return `${name.slice(0, 40)}-${hexOf(digest).slice(0, 12)}`;
}
