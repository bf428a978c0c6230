/** Shortest and longest interval, in milliseconds. */
const SHORTEST = 300;
const LONGEST = 10_000;

export interface PollInterval {
  /** Milliseconds to wait before the next poll. @param progress a figure that changes when there is progress */
  next(progress: number): number;
  /** When the figure last changed, by `performance.now()`. */
  readonly changed: number;
}

/**
 * Intervals for polling the progress of a run: short after progress, then growing. Polling itself takes at most a sixth
 * of the time.
 */
export function createPollInterval(): PollInterval {
  let changed = performance.now();
  let last: number | undefined;
  let slept = performance.now();
  return {
    next(progress) {
      const now = performance.now();
      const polling = now - slept;
      if (progress !== last) changed = now;
      last = progress;
      const delay = Math.min(Math.max((now - changed) / 4, SHORTEST, 5 * polling), LONGEST);
      slept = now + delay;
      return delay;
    },
    get changed() {
      return changed;
    },
  };
}
