import type { Digest } from '../../lib/digest.ts';
import type { Compared } from '../../lib/pairing/comparestored.ts';
import type { Calibrations } from '../../lib/pairing/prediction.ts';
import type { StoredProfile } from '../../lib/pairing/signature/stored.ts';
import { compareStored } from '../../lib/pairing/threads.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { residentsOf } from './residents.ts';

/** Comparisons of one target with sources by the same calibrations. Each is made once; the rankings of the target share them. */
export interface Comparisons {
  readonly target: Digest;
  readonly calibrations: Calibrations;
  /** Compares with a source of one or several images. @throws PanamaxError `not-found`, `bad-input` */
  compare(source: readonly Digest[]): Promise<Compared>;
  /** Compares with each image. Those in memory come first, and the next one is read meanwhile. */
  compareEach(sources: readonly Digest[], signal: AbortSignal): AsyncGenerator<Compared, void, void>;
}

/** Bytes of remembered comparisons at most; the oldest are dropped first. */
const MOST_REMEMBERED = 32 * 1024 ** 2;

/** @param memory memory of the process for jobs, in bytes */
export function createComparisons(
  store: Store,
  target: Digest,
  calibrations: Calibrations,
  memory?: number,
): Comparisons {
  const residents = residentsOf(store, memory);
  const made = new Map<string, Compared>();
  let wanted: StoredProfile | undefined;

  async function compare(source: readonly Digest[]): Promise<Compared> {
    const name = source.join('\n');
    const known = made.get(name);
    if (known) return known;
    wanted ??= await residents.load(target);
    const sources: StoredProfile[] = [];
    for (const manifest of source) sources.push(await residents.load(manifest));
    const compared = await compareStored({ target: wanted, sources, calibrations });
    made.set(name, compared);
    for (const oldest of made.keys()) {
      if (made.size * compared.costs.byteLength <= MOST_REMEMBERED) break;
      made.delete(oldest);
    }
    return compared;
  }

  const isThere = (source: Digest) => made.has(source) || residents.has(source);

  return {
    target,
    calibrations,
    compare,
    async *compareEach(sources, signal) {
      // images that are read first would push out others that are needed next
      const ordered = [...sources.filter(isThere), ...sources.filter((source) => !isThere(source))];
      for (const [i, source] of ordered.entries()) {
        signal.throwIfAborted();
        const next = ordered[i + 1];
        // its error is that of its own comparison
        if (next !== undefined && !isThere(next)) residents.load(next).catch(() => {});
        yield await compare([source]);
      }
    },
  };
}
