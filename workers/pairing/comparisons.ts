import { DEFAULT_FORMAT } from '../../lib/delta/formats.ts';
import type { Digest } from '../../lib/digest.ts';
import { contentCosts, type ContentCosts } from '../../lib/pairing/cover.ts';
import type { Calibrations } from '../../lib/pairing/prediction.ts';
import { candidateOf, evidenceOf, type Candidate } from '../../lib/pairing/ranking.ts';
import { contentCount } from '../../lib/pairing/signature/contents.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadSignature } from '../signature/stage.ts';

/** Comparisons of one target with sources by the same calibrations. Each is made once; the rankings of the target share them. */
export interface Comparisons {
  readonly target: Digest;
  readonly calibrations: Calibrations;
  /** Compares with a source of one or several images. @throws PanamaxError `not-found`, `bad-input` */
  compare(source: readonly Digest[]): Promise<Compared>;
}

export interface Compared {
  readonly candidate: Candidate;
  /** Of a patch in the default format. */
  readonly costs: ContentCosts;
}

/** Bytes of remembered comparisons at most; the oldest are dropped first. */
const MOST_REMEMBERED = 32 * 1024 ** 2;

/** Keeps in memory the signatures of the target and of one source at a time. */
export function createComparisons(store: Store, target: Digest, calibrations: Calibrations): Comparisons {
  const made = new Map<string, Compared>();
  // combined sources are tried one after the other with the same first images
  let kept: readonly Signature[] = [];
  let wanted: Signature | undefined;

  async function load(source: readonly Digest[]): Promise<Signature[]> {
    kept = kept.filter(({ image }) => source.includes(image.manifest));
    const signatures: Signature[] = [];
    for (const manifest of source) {
      const one = kept.find(({ image }) => image.manifest === manifest);
      signatures.push(one ?? (await loadSignature(store, manifest)));
    }
    kept = source.length > 1 ? signatures : [];
    return signatures;
  }

  return {
    target,
    calibrations,
    async compare(source) {
      const name = source.join('\n');
      const known = made.get(name);
      if (known) return known;
      wanted ??= await loadSignature(store, target);
      const signatures = await load(source);
      const evidence = evidenceOf(wanted, signatures);
      const compared = {
        candidate: candidateOf(wanted, signatures, evidence, calibrations),
        costs: contentCosts(
          contentCount(wanted.contents),
          evidence.compared,
          DEFAULT_FORMAT.costs,
          calibrations[DEFAULT_FORMAT.name],
        ),
      };
      made.set(name, compared);
      for (const oldest of made.keys()) {
        if (made.size * compared.costs.byteLength <= MOST_REMEMBERED) break;
        made.delete(oldest);
      }
      return compared;
    },
  };
}
