import { hexOf, type Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { withCompressions } from '../image/record.ts';
import { parseSignature } from '../pairing/signature/stored.ts';
import { loadCompressions } from '../store/compressions.ts';
import { keys } from '../store/keys.ts';
import { isPast, nameDocument, type NameRecord } from '../store/name.ts';
import type { Store } from '../store/objects/store.ts';
import { indexHead, readIndex, writeIndex, type IndexHead } from '../store/targetindex.ts';
import { patchBeside, type CheckReport, type Fault } from './check.ts';

export interface Repaired {
  readonly removed: readonly string[];
  /** Indexes and names that were written from other objects. */
  readonly rewritten: readonly string[];
  /** Faults that cannot be repaired here. */
  readonly left: readonly Fault[];
}

/**
 * Removes bad objects, and writes indexes and names again from what is sound. Every patch that an index names exists at
 * any instant: indexes are written before patches are removed. Objects that were written since the check stay.
 *
 * @param started begin of the check, by the store's clock
 */
export async function repairStore(
  store: Store,
  { faults, names }: CheckReport,
  started: Date,
  signal: AbortSignal,
): Promise<Repaired> {
  const removed: string[] = [];
  const rewritten: string[] = [];
  const left: Fault[] = [];
  const remove = async (key: string) => {
    signal.throwIfAborted();
    const info = await store.stat(key);
    if (!info || info.modified >= started) return;
    await store.remove(key);
    removed.push(key);
  };

  const bad = faults.filter(({ kind }) => kind === 'damaged' || kind === 'missing');
  left.push(...faults.filter((fault) => !bad.includes(fault)));

  // 1. descriptors without a sound patch, and damaged ones
  const patches: string[] = [];
  const targets = new Set<Digest>();
  for (const { key, target } of bad.filter(isIn(keys.allPatches))) {
    const descriptor = key.endsWith('.json') ? key : await descriptorOf(store, key);
    if (descriptor !== undefined) await remove(descriptor);
    patches.push(key.endsWith('.json') ? patchBeside(key) : key);
    if (target) targets.add(target);
  }

  // 2. indexes, from the remaining descriptors
  const indexFaults = bad.filter(isIn('index/'));
  for (const { target } of indexFaults) if (target) targets.add(target);
  for (const target of targets) {
    signal.throwIfAborted();
    const head = await headOf(store, target);
    if (head) {
      await writeIndex(store, head);
      rewritten.push(keys.index(target));
    } else {
      await remove(keys.index(target));
      left.push(...indexFaults.filter((fault) => fault.target === target && fault.kind === 'missing'));
    }
  }
  for (const patch of patches) await remove(patch);

  // 3. names, from their earlier records
  for (const fault of bad.filter(isIn(keys.names))) {
    const document = soundName(fault.key, names);
    if (document) {
      await store.put(fault.key, nameDocument(document));
      rewritten.push(fault.key);
    } else if (isPast(fault.key)) await remove(fault.key);
    else left.push(fault);
  }

  // 4. all others can be made again
  const others = bad.filter(({ key }) => !/^(patches|index|names)\//.test(key));
  for (const { key, target } of others) {
    await remove(key);
    if (target && key === keys.signature(target)) await remove(keys.sketch(target));
  }
  return { removed, rewritten, left };
}

/** The key of the descriptor that names a patch. */
async function descriptorOf(store: Store, patch: string): Promise<string | undefined> {
  const folder = patch.slice(0, patch.lastIndexOf('/') + 1);
  for await (const key of store.list(folder)) {
    if (key.endsWith('.json') && patchBeside(key) === patch) return key;
  }
  return undefined;
}

/** The head of an index: from the index itself, otherwise from the image's signature. Undefined without both. */
async function headOf(store: Store, target: Digest): Promise<IndexHead | undefined> {
  const key = keys.signature(target);
  const index = await unlessDamaged(() => readIndex(store, target));
  const bytes = await store.get(key);
  const signature = bytes && (await unlessDamaged(() => parseSignature(bytes, key)));
  if (signature?.image.manifest !== target)
    return index && { target: index.target, pullSize: index.pullSize };
  const { image } = signature;
  const digests = image.layers.map(({ digest }) => digest);
  const known = await loadCompressions(store, digests);
  const head = indexHead(
    withCompressions(
      image,
      digests.map((digest) => known.get(digest) ?? undefined),
    ),
  );
  const isExact = index?.target.isExact ?? head.target.isExact;
  return { ...head, target: { ...head.target, isExact } };
}

async function unlessDamaged<Found>(action: () => Promise<Found>): Promise<Found | undefined> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** The record that belongs under a name's key: that of the same sequence, or the last past one for the current key. */
function soundName(key: string, names: CheckReport['names']): NameRecord | undefined {
  if (isPast(key)) {
    const current = `${key.slice(0, key.lastIndexOf('/'))}.json`;
    const record = names.get(current);
    const sequence = Number(key.slice(key.lastIndexOf('/') + 1, -'.json'.length));
    return record?.sequence === sequence ? record : undefined;
  }
  const past = `${key.slice(0, -'.json'.length)}/`;
  const records = [...names].filter(([other]) => other.startsWith(past)).map(([, record]) => record);
  return records.toSorted((a, b) => b.sequence - a.sequence)[0];
}

/** What to do to have lost objects again, a line each. */
export function adviceFor(faults: readonly Fault[], names: CheckReport['names']): string[] {
  const lines = new Set<string>();
  for (const { key, target, kind } of faults) {
    if (kind === 'unreadable' || kind === 'unknown') continue;
    const [first, second] = key.split('/');
    if (target) lines.add(`panamax enqueue ${nameOf(target, names)}`);
    else if (first === 'names') lines.add(`panamax tag ${nameIn(second!)} IMAGE`);
    else if (first === 'runs') lines.add(`panamax enqueue, with the images of run ${second}`);
    else if (key === keys.calibration) lines.add('panamax calibrate');
  }
  return [...lines];
}

function nameOf(target: Digest, names: CheckReport['names']): string {
  const record = [...names.values()].find((one) => one.target.manifest === target);
  return record ? `docker://${record.name}` : `the image sha256:${hexOf(target)}`;
}

/** A name from the first part of its key (`keys.name`). */
const nameIn = (part: string) => part.replaceAll('=', ':').replace('@', ':');

function isIn(prefix: string): (fault: Fault) => boolean {
  return ({ key }) => key.startsWith(prefix);
}
