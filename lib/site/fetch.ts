import { join } from 'node:path';
import { openPatch } from '../delta/patch.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { ImageIdentity } from '../store/descriptor.ts';
import type { Link } from './choice/chain.ts';
import type { Workplace } from './site.ts';
import { claimPartial, type Partial } from './offers/partial.ts';

/** Downloaded patches, in files that this process has claimed. */
export interface FetchedPatches {
  /** In the order in which they are applied. */
  readonly paths: readonly string[];
  remove(): Promise<void>;
  /** Gives the files up after an error: keeps them for the next start, unless a patch is bad. */
  giveUp(error: unknown): Promise<void>;
}

/**
 * Downloads patches, continuing what an earlier start has left, and checks that each is for its target. After an error
 * the files are given up.
 *
 * @throws PanamaxError `bad-patch` for a patch that is damaged or for another image; errors of the origin
 */
export async function fetchPatches(
  links: readonly Link[],
  { state, limits, signal }: Pick<Workplace, 'state' | 'limits' | 'signal'>,
): Promise<FetchedPatches> {
  const partials = join(state, 'partial');
  const claimed: Partial[] = [];
  const removeAll = async () => {
    for (const partial of claimed) await partial.remove();
  };
  const giveUp = async (error: unknown) => {
    if (toPanamaxError(error).kind === 'bad-patch') return removeAll();
    for (const partial of claimed) await partial.release();
  };
  try {
    for (const { offer, target } of links) {
      const partial = await claimPartial(partials, offer.digest);
      claimed.push(partial);
      await offer.fetch(partial.path, partials, signal);
      checkTarget((await openPatch(partial.path, limits)).target, target);
    }
  } catch (error) {
    await giveUp(error);
    throw error;
  }
  return { paths: claimed.map(({ path }) => path), remove: removeAll, giveUp };
}

/** A patch for another image may be undamaged. @throws PanamaxError `bad-patch` */
export function checkTarget(found: Pick<ImageIdentity, 'manifest' | 'config'>, target: ImageIdentity): void {
  if (found.manifest === target.manifest && found.config === target.config) return;
  throw new PanamaxError('bad-patch', 'patch of another image', {
    expected: `manifest ${target.manifest}, image ${target.config}`,
    found: `manifest ${found.manifest}, image ${found.config}`,
  });
}
