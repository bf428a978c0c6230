import { hexOf, type Digest } from '../../lib/digest.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { isIndex, parseManifest } from '../../lib/image/oci/manifest.ts';
import { formatRegistryName } from '../../lib/image/oci/registryname.ts';
import { isVersion } from '../../lib/image/oci/version.ts';
import { openRepository, type FoundManifest } from '../../lib/image/registry/registry.ts';
import type { Limits } from '../../lib/limits.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { expandReferences } from '../question/expand.ts';
import { readNote, writeNote } from './note.ts';
import type { Repository } from './watched.ts';

/** Finds the images that were pushed to a repository since the last look. */

export interface LookOptions {
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
  /** References of charts and other artifacts that are no images; they are noted, too. */
  readonly others: readonly string[];
  /** Number of tags that fit. */
  readonly tags: number;
  /** Notes the images in the store. Call it when they are queued. */
  readonly remember: () => Promise<void>;
}

/**
 * Compares the tags of a repository with those of the last look, which the store keeps. A tag that is a version is looked
 * at once; others, such as `latest`, may move.
 *
 * @param isNew whether the repository was made after its registry was first looked at, so that all tags are pushes
 * @throws PanamaxError `bad-input` for a damaged note; the errors of store and registry
 */
export async function lookAt(
  name: Repository,
  store: Store,
  options: LookOptions,
  isNew = false,
): Promise<Look> {
  const before = await readNote(name, store);
  const known = new Map<string, Digest>(before);
  const repository = openRepository(name, options);
  const pushed: Push[] = [];
  const tags = await tagsOf(formatRegistryName(name), options);
  const others: string[] = [];
  let hasMoved = false;
  for (const tag of tags) {
    const last = known.get(tag);
    if (last && isVersion(tag)) continue;
    const manifest = await repository.getManifest(tag);
    if (manifest.digest === last) continue;
    hasMoved = true;
    known.set(tag, manifest.digest);
    const push = pushOf(name, tag, manifest.digest);
    if (isImage(manifest, options.limits)) pushed.push(push);
    else others.push(push.reference);
  }
  return {
    pushed: before || isNew ? pushed : undefined,
    others: before || isNew ? others : [],
    tags: tags.length,
    async remember() {
      if (hasMoved || !before) await writeNote(name, known, store);
    },
  };
}

/**
 * Looks at one image that a registry has told of. One that is known already, or that the registry does not have, is no
 * push.
 *
 * @throws PanamaxError `bad-input` for a damaged note; the errors of store and registry
 */
export async function lookAtPush(
  name: Repository,
  { tag, digest }: { readonly tag: string; readonly digest: Digest },
  store: Store,
  options: LookOptions,
): Promise<Look> {
  const known = (await readNote(name, store)) ?? new Map<string, Digest>();
  const manifest = known.get(tag) === digest ? undefined : await findManifest(name, digest, options);
  if (!manifest) return { pushed: [], others: [], tags: 0, remember: async () => {} };
  known.set(tag, digest);
  const push = pushOf(name, tag, digest);
  const isPush = isImage(manifest, options.limits);
  return {
    pushed: isPush ? [push] : [],
    others: isPush ? [] : [push.reference],
    tags: 1,
    remember: () => writeNote(name, known, store),
  };
}

async function findManifest(
  name: Repository,
  digest: Digest,
  options: LookOptions,
): Promise<FoundManifest | undefined> {
  try {
    return await openRepository(name, options).getManifest(digest);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
    throw error;
  }
}

/** Whether a manifest is an index or that of an image. Charts and other artifacts have tags, too. */
function isImage({ bytes, mediaType, digest }: FoundManifest, limits: Limits): boolean {
  try {
    if (!isIndex(bytes, mediaType, digest)) parseManifest(bytes, limits, digest);
    return true;
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return false;
    // a worker says that an image is over a limit
    if (error instanceof PanamaxError && error.kind === 'limit') return true;
    throw error;
  }
}

async function tagsOf(path: string, { tags = '*', limits, signal }: LookOptions): Promise<string[]> {
  try {
    const found = await expandReferences([`docker://${path}:${tags}`], { limits, signal });
    return found.map((reference) => reference.slice(`docker://${path}:`.length));
  } catch (error) {
    // the repository may be empty, or be made by its first push
    if (error instanceof PanamaxError && error.kind === 'not-found') return [];
    throw error;
  }
}

function pushOf(name: Repository, tag: string, digest: Digest): Push {
  const path = formatRegistryName(name);
  const text = `${path.split('/').at(-1)!}-${tag}`.replaceAll(/[^\w.-]/g, '-');
  const run = `${text.slice(0, 40)}-${hexOf(digest).slice(0, 12)}`;
  return { reference: `docker://${path}:${tag}@${digest}`, run };
}
