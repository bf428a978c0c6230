import type { Digest } from '../lib/oci/descriptor.ts';
import type { Calibrations } from '../lib/pairing/prediction.ts';
import { compareImages, type Candidate } from '../lib/pairing/ranking.ts';
import type { Signature } from '../lib/signature/signature.ts';
import type { Store } from '../lib/store/store.ts';
import { loadSignature } from './signature.ts';

/** Images that are one source, at most. */
export const MOST_TOGETHER = 3;

/** Comparisons of one target by the same calibrations, each made once: the rankings of a target share them. */
export interface Comparisons {
  readonly target: Digest;
  readonly calibrations: Calibrations;
  /** With a source, which may be several images. @throws PanamaxError `not-found`, `bad-input` */
  compare(source: readonly Digest[]): Promise<Candidate>;
}

/** Holds the signatures of the target and of the images of one source at a time. */
export function createComparisons(store: Store, target: Digest, calibrations: Calibrations): Comparisons {
  const made = new Map<string, Candidate>();
  // the last ones: several images as one source are tried with the same first one
  const loaded = new Map<Digest, Signature>();
  let wanted: Signature | undefined;

  async function load(manifest: Digest): Promise<Signature> {
    const signature = loaded.get(manifest) ?? (await loadSignature(store, manifest));
    loaded.delete(manifest);
    loaded.set(manifest, signature);
    for (const oldest of loaded.keys()) {
      if (loaded.size <= MOST_TOGETHER) break;
      loaded.delete(oldest);
    }
    return signature;
  }

  return {
    target,
    calibrations,
    async compare(source) {
      const name = source.join('\n');
      const known = made.get(name);
      if (known) return known;
      wanted ??= await loadSignature(store, target);
      const signatures: Signature[] = [];
      for (const manifest of source) signatures.push(await load(manifest));
      const candidate = compareImages(wanted, signatures, calibrations);
      made.set(name, candidate);
      return candidate;
    },
  };
}
