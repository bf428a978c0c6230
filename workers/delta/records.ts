import type { Digest } from '../../lib/digest.ts';
import type { ImageRecord } from '../../lib/image/record.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadImage } from '../signature/load.ts';

/** Records of images that a process keeps. */
const MOST_KEPT = 64;
const kept = new WeakMap<Store, Map<Digest, ImageRecord>>();

/**
 * Runs an action with the records of images. They are kept for further pairs, since an image never changes: manifest and
 * config have been compared with their digests. After a failure they are read again.
 *
 * @throws PanamaxError `not-found`, `bad-input`; errors of the action
 */
export async function withRecords<Result>(
  store: Store,
  images: readonly Digest[],
  action: (records: readonly ImageRecord[]) => Promise<Result>,
): Promise<Result> {
  let known = kept.get(store);
  if (!known) kept.set(store, (known = new Map<Digest, ImageRecord>()));
  try {
    const records: ImageRecord[] = [];
    for (const manifest of images) {
      const record = known.get(manifest) ?? (await loadImage(store, manifest));
      records.push(record);
      known.delete(manifest);
      known.set(manifest, record);
      if (known.size > MOST_KEPT) known.delete(known.keys().next().value!);
    }
    return await action(records);
  } catch (error) {
    for (const manifest of images) known.delete(manifest);
    throw error;
  }
}
