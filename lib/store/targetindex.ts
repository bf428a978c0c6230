import { parseDescriptor, type PatchDescriptor } from '../delta/descriptor.ts';
import { PanamaxError } from '../errors.ts';
import type { Digest } from '../oci/descriptor.ts';
import { canBeExact } from '../oci/form.ts';
import { pullSize, type ImageRecord } from '../oci/record.ts';
import { keys } from './layout.ts';
import type { Store } from './store.ts';

export const INDEX_VERSION = 1;

/**
 * Writes what a site reads of a target: every pair of it that the store knows, smallest patch first. Derived
 * from the descriptors alone, so it can be written at any time by anybody; written again until the descriptors
 * read before and after are the same, so that of two writers at once the last one has it all.
 */
export async function writeIndex(store: Store, target: ImageRecord): Promise<void> {
  const seen = new Set<string>();
  for (let before = await readPairs(store, target.manifest); ;) {
    const text = JSON.stringify(indexDocument(target, before), null, 2);
    if (seen.has(text)) return;
    seen.add(text);
    await store.put(keys.index(target.manifest), Buffer.from(`${text}\n`));
    before = await readPairs(store, target.manifest);
  }
}

async function readPairs(store: Store, target: Digest): Promise<PatchDescriptor[]> {
  const pairs: PatchDescriptor[] = [];
  for await (const key of store.list(keys.patches(target))) {
    if (!key.endsWith('.json')) continue;
    const bytes = await store.get(key);
    const pair = bytes && readPair(bytes, `${store.where} ${key}`);
    if (pair) pairs.push(pair);
  }
  return pairs.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** A damaged descriptor hides its own pair only; the pair's next job makes it anew. */
function readPair(bytes: Uint8Array, where: string): PatchDescriptor | undefined {
  try {
    return parseDescriptor(bytes, where);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

function order({ sizes, source, format }: PatchDescriptor): string {
  return `${String(sizes.actual).padStart(16, '0')} ${source.manifest} ${format}`;
}

function indexDocument(target: ImageRecord, pairs: readonly PatchDescriptor[]): object {
  return {
    version: INDEX_VERSION,
    target: {
      manifest: target.manifest,
      config: target.config,
      platform: target.platform,
      isExact: canBeExact(target),
    },
    pullSize: pullSize(target),
    patches: pairs
      .filter((pair) => pair.patch)
      .map(({ format, source, patch, sizes }) => ({
        format,
        source,
        key: keys.patch(target.manifest, source.manifest, format),
        ...patch,
        pullSize: sizes.pull,
      })),
    pull: pairs
      .filter((pair) => !pair.patch)
      .map(({ format, source, sizes }) => ({
        format,
        source,
        patchSize: sizes.actual,
        pullSize: sizes.pull,
      })),
  };
}
