/** Runs some jobs at a time; of those that wait the smallest comes first. */
export interface SmallestFirst {
  run<Result>(size: number, job: () => Promise<Result>): Promise<Result>;
}

/** @param most jobs at a time */
export function createSmallestFirst(most: number): SmallestFirst {
  const waiting: { readonly size: number; readonly start: () => void }[] = [];
  let running = 0;

  return {
    async run(size, job) {
      if (running < most) running++;
      else await new Promise<void>((start) => waiting.push({ size, start }));
      try {
        return await job();
      } finally {
        waiting.sort((a, b) => b.size - a.size);
        // the next job takes over this one's place
        const next = waiting.pop();
        if (next) next.start();
        else running--;
      }
    },
  };
}
