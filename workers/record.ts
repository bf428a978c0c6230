import type { Digest } from '../lib/oci/descriptor.ts';
import { withCompressions, type ImageRecord } from '../lib/oci/record.ts';
import { loadCompressions } from '../lib/recompress/known.ts';
import type { Store } from '../lib/store/store.ts';
import { loadSignature } from './signature.ts';

/** An image with what the store knows of how its layers were compressed. @throws PanamaxError `not-found`, `bad-input` */
export async function loadRecord(store: Store, manifest: Digest): Promise<ImageRecord> {
  const { image } = await loadSignature(store, manifest);
  const digests = image.layers.map(({ digest }) => digest);
  const known = await loadCompressions(store, digests);
  return withCompressions(
    image,
    digests.map((digest) => known.get(digest) ?? undefined),
  );
}
