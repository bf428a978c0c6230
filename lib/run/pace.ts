/** In milliseconds. */
const SHORTEST = 300;
const LONGEST = 10_000;

export interface Pace {
  /** How long to wait before the next look, in milliseconds, given a figure that changes as things go on. */
  next(figure: number): number;
  /** When the figure last changed, by `performance.now()`. */
  readonly changed: number;
}

/**
 * How often to look whether something has gone on: soon after it has, then ever less; and the looking itself takes no
 * more than a small part of the time.
 */
export function createPace(): Pace {
  let changed = performance.now();
  let last: number | undefined;
  let slept = performance.now();
  return {
    next(figure) {
      const now = performance.now();
      const looking = now - slept;
      if (figure !== last) changed = now;
      last = figure;
      const delay = Math.min(Math.max((now - changed) / 4, SHORTEST, 5 * looking), LONGEST);
      slept = now + delay;
      return delay;
    },
    get changed() {
      return changed;
    },
  };
}
