import { isDigest, type Digest } from '../digest.ts';
import { parseDescriptor, type PatchDescriptor } from '../store/descriptor.ts';
import { PanamaxError } from '../errors.ts';
import { findRunState, listRuns } from '../run/runs.ts';
import { keys } from '../store/keys.ts';
import { isPast, readNameAt, type NameRecord } from '../store/name.ts';
import type { Store } from '../store/objects/store.ts';

/** What a store holds, as far as somebody may want to be rid of it. */
export interface Census {
  readonly names: readonly FoundName[];
  /** By manifest: everything that is about one image alone. */
  readonly images: ReadonlyMap<Digest, ImageObjects>;
  /** Images of runs that are not over. */
  readonly awaited: ReadonlySet<Digest>;
}

export interface FoundName extends NameRecord {
  readonly key: string;
  /** Whether the name stands for it now. */
  readonly isCurrent: boolean;
}

export interface ImageObjects {
  /** Keys of its index, rankings, signature and sketch, where there are such. */
  readonly index: string[];
  readonly pairings: string[];
  readonly signature: string[];
  readonly pairs: Pair[];
  /** Below `patches/`, and of no pair: what a killed writer, or a killed removal, left. */
  readonly stray: string[];
}

/** A patch to an image, or the knowledge that a pull is as good. */
export interface Pair {
  readonly descriptor: string;
  /** Undefined where there is none, for a pull is as good. */
  readonly patch?: string;
  /** Manifests of what it is made from: several images may be one source. */
  readonly sources: readonly Digest[];
}

/** @param signal ends it between two objects */
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
  for (const prefix of ['signatures/', 'sketches/']) {
    for await (const [key, digest] of listed(store, prefix, signal)) of(digest).signature.push(key);
  }
  for await (const [key, digest] of listed(store, keys.allPatches, signal)) of(digest).stray.push(key);
  for (const [digest, objects] of images) await sortPatches(store, digest, objects, signal);
  return { names: await readNames(store, signal), images, awaited: await findAwaited(store, signal) };
}

/** Keys with the digest of the first part that is one. What is named otherwise is nobody's. */
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

/** What descriptors name is theirs; the rest is stray, damaged descriptors among it. */
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
    return bytes && parseDescriptor(bytes, key);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** A damaged name stops it all: what it stood for must not be lost for that. */
async function readNames(store: Store, signal: AbortSignal): Promise<FoundName[]> {
  const names: FoundName[] = [];
  for await (const key of store.list(keys.names)) {
    signal.throwIfAborted();
    const record = await readNameAt(store, key);
    if (record) names.push({ ...record, key, isCurrent: !isPast(key) });
  }
  return names;
}

/** Images of runs that are not over. A run reads images before it makes patches of them, and may be continued. */
export async function findAwaited(store: Store, signal: AbortSignal): Promise<Set<Digest>> {
  const awaited = new Set<Digest>();
  for await (const run of listRuns(store)) {
    signal.throwIfAborted();
    if ((await findRunState(store, run))?.state === 'over') continue;
    const documents = [keys.run(run, 'pairings.json')];
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
