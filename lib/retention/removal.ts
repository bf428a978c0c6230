import { sealDocument } from '../sealed.ts';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { asArray, asRecord, parseDocument } from '../json.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import type { Pair } from './census.ts';
import type { Removal, Retention } from './policy.ts';

export interface RemovedObject {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
}

export interface Removed {
  readonly target: Digest;
  readonly why: string;
  /** Whether all objects of the image have been removed. */
  readonly isGone: boolean;
  readonly objects: readonly RemovedObject[];
}

/** An image that was skipped. */
export interface Left {
  readonly target: Digest;
  readonly why: string;
}

export interface Outcome {
  readonly removed: readonly Removed[];
  /** Keys of removed past records of names. */
  readonly names: readonly string[];
  /** Images skipped because an object is younger than the grace period, or because a run needs them. */
  readonly left: readonly Left[];
}

export interface RemovalOptions {
  /** Objects younger than this many milliseconds are not removed. */
  readonly grace: number;
  /** False for a dry run, which changes nothing. */
  readonly isReal: boolean;
  readonly signal: AbortSignal;
  /** Images that unfinished runs need, looked up before each removal. */
  readonly awaited?: () => Promise<ReadonlySet<Digest>>;
  onRemoved?(removed: Removed): void;
}

/**
 * Removes objects image by image. The order is index (removed, or rewritten without the removed patches), descriptors,
 * patches. So everything that an index or a descriptor refers to exists at any instant, also if the removal is killed.
 * It can be repeated at any time.
 */
export async function remove(
  store: Store,
  { removals, names }: Retention,
  options: RemovalOptions,
): Promise<Outcome> {
  const removed: Removed[] = [];
  const left: Left[] = [];
  for (const removal of removals) {
    options.signal.throwIfAborted();
    const objects = await measure(store, removal);
    if (isYoung(objects, options.grace)) {
      left.push({ target: removal.target, why: 'younger than the grace period' });
      continue;
    }
    if ((await options.awaited?.())?.has(removal.target)) {
      left.push({ target: removal.target, why: 'needed by an unfinished run' });
      continue;
    }
    if (options.isReal) await removeOne(store, removal);
    const one = {
      target: removal.target,
      why: removal.why,
      isGone: removal.isGone,
      objects: objects.map(({ key, size }) => ({ key, size })),
    };
    removed.push(one);
    options.onRemoved?.(one);
  }
  const old: string[] = [];
  const untouched = new Set(left.map(({ target }) => target));
  for (const { key, target } of names) {
    options.signal.throwIfAborted();
    if (untouched.has(target)) continue;
    const info = await store.stat(key);
    if (!info || isYoung([info], options.grace)) continue;
    if (options.isReal) await store.remove(key);
    old.push(key);
  }
  return { removed, names: old, left };
}

/** Removes objects that nothing refers to, except those younger than the grace period. */
export async function removeUnreferenced(
  store: Store,
  unreferenced: readonly string[],
  { grace, isReal, signal }: RemovalOptions,
): Promise<RemovedObject[]> {
  const removed: RemovedObject[] = [];
  for (const key of unreferenced) {
    signal.throwIfAborted();
    const info = await store.stat(key);
    if (!info || isYoung([info], grace)) continue;
    if (isReal) await store.remove(key);
    removed.push({ key, size: info.size });
  }
  return removed;
}

interface Measured {
  readonly key: string;
  readonly size: number;
  readonly modified: Date;
}

async function measure(store: Store, { index, pairs, rest }: Removal): Promise<Measured[]> {
  const objects: Measured[] = [];
  for (const key of [...index, ...pairs.flatMap(keysOf), ...rest]) {
    const info = await store.stat(key);
    if (info) objects.push({ key, ...info });
  }
  return objects;
}

const keysOf = ({ descriptor, patch }: Pair) => (patch === undefined ? [descriptor] : [descriptor, patch]);

function isYoung(objects: readonly Pick<Measured, 'modified'>[], grace: number): boolean {
  return objects.some(({ modified }) => Date.now() - modified.getTime() < grace);
}

async function removeOne(store: Store, { target, isWhole, index, pairs, rest }: Removal): Promise<void> {
  for (const key of index) await store.remove(key);
  const dropped = new Set(pairs.flatMap(keysOf));
  if (!isWhole) await rewriteIndex(store, target, dropped);
  for (const { descriptor } of pairs) await store.remove(descriptor);
  // a worker that read the descriptors before their removal may have written the index since; no worker can read them now
  if (isWhole) for (const key of index) await store.remove(key);
  else await rewriteIndex(store, target, dropped);
  for (const { patch } of pairs) if (patch !== undefined) await store.remove(patch);
  for (const key of rest) await store.remove(key);
}

/** Undefined if nothing changes, or for a damaged index, which offers no site a patch. */
function withoutPatches(bytes: Uint8Array, dropped: ReadonlySet<string>, where: string) {
  try {
    const { checksum: _, ...index } = asRecord(parseDocument(bytes, where), where);
    const patches = asArray(index['patches'], where);
    const stay = patches.filter((patch) => !dropped.has(String(asRecord(patch, where)['key'])));
    return stay.length === patches.length ? undefined : { index, stay };
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** Takes patches out of an index. All other fields stay, including those unknown to this version. */
async function rewriteIndex(store: Store, target: Digest, dropped: ReadonlySet<string>): Promise<void> {
  const key = keys.index(target);
  const bytes = await store.get(key);
  if (!bytes) return;
  const parsed = withoutPatches(bytes, dropped, `${store.where} ${key}`);
  if (!parsed) return;
  const { index, stay } = parsed;
  await store.put(key, sealDocument({ ...index, patches: stay }, 2));
}
