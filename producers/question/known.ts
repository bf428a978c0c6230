import type { Digest } from '../../lib/digest.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { runPool } from '../../lib/runtime/pool.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';

/** Images looked at at a time. */
const LOOKS = 16;
/** What has not been looked at by then is left to workers, in milliseconds. */
const LOOK_TIME = 20_000;

/**
 * Which of these images have signatures in the store already, whatever run they are of. Of each only the manifest is
 * read; images that cannot be seen from here, or not without reading all of them, are left out.
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
