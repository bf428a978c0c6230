import type { Digest } from '../../lib/digest.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { runPool } from '../../lib/runtime/pool.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';

/** Concurrent requests. */
const LOOKS = 16;
/** Time limit in milliseconds; images not looked at by then are left to workers. */
const LOOK_TIME = 20_000;

/**
 * Finds the images that have signatures in the store, from any run. Reads only manifests. Images that are not
 * accessible from here, or have to be read completely, are left out.
 *
 * @returns manifests, by reference
 */
export async function findKnown(
  references: readonly string[],
  platform: Platform | undefined,
  store: Store,
): Promise<Map<string, Digest>> {
  const found = new Map<string, Digest>();
  if (references.length === 0) return found;
  const signed = new Set<string>();
  for await (const key of store.list(keys.signatures)) signed.add(key);
  if (signed.size === 0) return found;
  const signal = AbortSignal.timeout(LOOK_TIME);
  const options = { limits: DEFAULT_LIMITS, signal, ...(platform && { platform }) };
  const look = async (text: string) => {
    const reference = await parseReference(text);
    if (reference.transport !== 'oci' && reference.transport !== 'docker') return;
    const { manifestDigest } = await openImage(reference, options);
    if (signed.has(keys.signature(manifestDigest))) found.set(text, manifestDigest);
  };
  await runPool(references, LOOKS, look, signal);
  return found;
}
