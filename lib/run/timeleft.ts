/** Estimates the time left from the work of the last minutes. */
export interface TimeLeft {
  /**
   * @param done work so far, and `left`, in the same unit
   * @returns seconds; undefined without work left, or without a rate yet
   */
  estimate(work: { readonly done: number; readonly left: number }): number | undefined;
}

/** Time over which the rate is taken, in milliseconds. */
const WINDOW = 5 * 60_000;
/** Observations that are kept at most; of more, every second one. */
const MOST_KEPT = 100;

/** @param now the time in milliseconds */
export function createTimeLeft(now: () => number = () => performance.now()): TimeLeft {
  let seen: { readonly at: number; readonly done: number }[] = [];
  return {
    estimate({ done, left }) {
      const at = now();
      // items are tried again
      if (done < (seen.at(-1)?.done ?? 0)) seen = [];
      seen.push({ at, done });
      while (seen.length > 2 && seen[1]!.at < at - WINDOW) seen.shift();
      if (seen.length > MOST_KEPT) seen = seen.filter((_, i) => i === 0 || i % 2 === seen.length % 2);
      const [first] = seen;
      const rate = (done - first!.done) / (at - first!.at);
      return left > 0 && rate > 0 ? Math.round(left / rate / 1000) : undefined;
    },
  };
}
