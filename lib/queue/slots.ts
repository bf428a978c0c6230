/** How many jobs the queues of one process run at a time, together. First come, first served. */
export interface Slots {
  /** Waits for one so many milliseconds. @returns false where there is none by then, or the signal is aborted */
  take(patience: number, signal: AbortSignal): Promise<boolean>;
  free(): void;
}

export function createSlots(count: number): Slots {
  let left = count;
  const line: (() => void)[] = [];
  return {
    async take(patience, signal) {
      if (signal.aborted) return false;
      if (left > 0) {
        left--;
        return true;
      }
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const given = () => resolve(true);
      const leave = () => {
        const at = line.indexOf(given);
        if (at < 0) return;
        line.splice(at, 1);
        resolve(false);
      };
      line.push(given);
      const timer = setTimeout(leave, patience);
      signal.addEventListener('abort', leave, { once: true });
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
      }
    },
    free() {
      const next = line.shift();
      if (next) next();
      else left++;
    },
  };
}
