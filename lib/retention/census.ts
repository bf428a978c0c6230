import { isDigest, type Digest } from '../digest.ts';
import { parsePatchDescriptor, type PatchDescriptor } from '../store/descriptor.ts';
import { PanamaxError } from '../errors.ts';
import { findRunState, listRuns } from '../run/runs.ts';
import { keys } from '../store/keys.ts';
import { isPast, readNameAt, type NameRecord } from '../store/name.ts';
import type { Store } from '../store/objects/store.ts';

/** The objects of a store that retention may remove. */
export interface Census {
  readonly names: readonly FoundName[];
  /** Repositories with a damaged record of a name, as keys spell them: its image is unknown, so any may be. */
  readonly damagedRepositories: ReadonlySet<string>;
  /** The objects that belong to one image, by its manifest. */
  readonly images: ReadonlyMap<Digest, ImageObjects>;
  /** Images that unfinished runs need. */
  readonly awaited: ReadonlySet<Digest>;
}

export interface FoundName extends NameRecord {
  readonly key: string;
  /** Whether this is the name's current record. */
  readonly isCurrent: boolean;
}

export interface ImageObjects {
  /** Keys of the image's index, rankings, signature, image sketch and attachments. Each list may be empty. */
  readonly index: string[];
  readonly pairings: string[];
  readonly signature: string[];
  readonly pairs: Pair[];
  /** Keys below `patches/` that belong to no pair, left over by a killed writer or a killed removal. */
  readonly stray: string[];
}

/** The result of one delta job for an image: a patch, or a descriptor without one. */
export interface Pair {
  /** Key of the descriptor. */
  readonly descriptor: string;
  /** Key of the patch. Undefined if no patch was published, since a pull is not larger. */
  readonly patch?: string;
  /** Manifests of the source images. A combined source has several. */
  readonly sources: readonly Digest[];
}

/**
 * Lists the images, pairs and names of a store.
 *
 * @param signal stops between two objects
 */
export async function takeCensus(store: Store, signal: AbortSignal): Promise<Census> {
  const images = new Map<Digest, ImageObjects>();
  const of = (digest: Digest): ImageObjects => {
    const known = images.get(digest);
    const objects = known ?? { index: [], pairings: [], signature: [], pairs: [], stray: [] };
    images.set(digest, objects);
    return objects;
  };
  for await (const [key, digest] of listed(store, 'index/', signal)) of(digest).index.push(key);
  for await (const [key, digest] of listed(store, 'pairings/', signal)) of(digest).pairings.push(key);
  for (const prefix of ['signatures/', 'sketches/', keys.allAttachments]) {
    for await (const [key, digest] of listed(store, prefix, signal)) of(digest).signature.push(key);
  }
  for await (const [key, digest] of listed(store, keys.allPatches, signal)) of(digest).stray.push(key);
  for (const [digest, objects] of images) await sortPatches(store, digest, objects, signal);
  return { ...(await readNames(store, signal)), images, awaited: await findAwaitedImages(store, signal) };
}

/** Keys with the first digest in them. Keys without a digest are skipped. */
async function* listed(
  store: Store,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<[key: string, digest: Digest]> {
  for await (const key of store.list(prefix)) {
    signal.throwIfAborted();
    const hex = /\/sha256-([0-9a-f]{64})(?=[./]|$)/.exec(key)?.[1];
    const digest = `sha256:${hex}`;
    if (isDigest(digest)) yield [key, digest];
  }
}

/** Moves descriptors and the patches that they name from `stray` to `pairs`. Damaged descriptors stay in `stray`. */
async function sortPatches(
  store: Store,
  target: Digest,
  { pairs, stray }: ImageObjects,
  signal: AbortSignal,
): Promise<void> {
  const all = new Set(stray.splice(0));
  for (const key of [...all].filter((key) => key.endsWith('.json'))) {
    signal.throwIfAborted();
    const pair = await readPair(store, key);
    if (pair?.target.manifest !== target) continue;
    const { format, source } = pair;
    const patch = keys.patch(target, source.manifest, format);
    const isThere = pair.patch && all.has(patch);
    pairs.push({
      descriptor: key,
      sources: source.images ?? [source.manifest],
      ...(isThere && { patch }),
    });
    all.delete(key);
    if (isThere) all.delete(patch);
  }
  stray.push(...all);
}

async function readPair(store: Store, key: string): Promise<PatchDescriptor | undefined> {
  const bytes = await store.get(key);
  try {
    return bytes && parsePatchDescriptor(bytes, key);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** A damaged record does not stop the removal, but its image must not be removed. */
async function readNames(
  store: Store,
  signal: AbortSignal,
): Promise<Pick<Census, 'names' | 'damagedRepositories'>> {
  const names: FoundName[] = [];
  const damagedRepositories = new Set<string>();
  for await (const key of store.list(keys.names)) {
    signal.throwIfAborted();
    try {
      const record = await readNameAt(store, key);
      if (record) names.push({ ...record, key, isCurrent: !isPast(key) });
    } catch (error) {
      if (!(error instanceof PanamaxError && error.kind === 'bad-input')) throw error;
      damagedRepositories.add(repositoryIn(key));
    }
  }
  return { names, damagedRepositories };
}

/** The repository in the key of a name, as the key spells it. */
export function repositoryIn(key: string): string {
  return key.slice(keys.names.length, key.lastIndexOf('@'));
}

/**
 * Images that unfinished runs need. A run reads images long before it makes patches of them, and a stopped run may be
 * continued.
 */
export async function findAwaitedImages(store: Store, signal: AbortSignal): Promise<Set<Digest>> {
  const awaited = new Set<Digest>();
  for await (const run of listRuns(store)) {
    signal.throwIfAborted();
    if ((await findRunState(store, run))?.state === 'over') continue;
    const documents: string[] = [];
    for (const prefix of ['scopes/', 'outcomes/signature/']) {
      for await (const key of store.list(keys.run(run, prefix))) documents.push(key);
    }
    for (const key of documents) {
      const bytes = await store.get(key);
      for (const match of String(bytes ?? '').matchAll(/sha256:[0-9a-f]{64}/g))
        awaited.add(match[0] as Digest);
    }
  }
  return awaited;
}
