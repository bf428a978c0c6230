/** Coverage of the blocks of `lib/`, by the inspector of V8. */
import { Session, type Profiler } from 'node:inspector';

export interface Coverage extends Disposable {
  /** Whether code ran since the last call that never ran before. Takes about 10 ms. */
  take(options: { readonly isKept: boolean }): boolean;
  /** Functions that ran so far. */
  readonly functions: number;
}

type Interval = readonly [start: number, end: number];

export function startCoverage(): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  /** Parts of each function that have not run. */
  const missing = new Map<string, readonly Interval[]>();

  function take({ isKept }: { readonly isKept: boolean }): boolean {
    let isNew = false;
    // the answer comes before `post` returns
    session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error) throw error;
      for (const { url, functions } of taken.result) {
        if (!url.includes('/lib/')) continue;
        for (const { ranges } of functions) {
          const [whole] = ranges;
          if (!whole || whole.count === 0) continue;
          const key = `${url}:${whole.startOffset}`;
          const before = missing.get(key) ?? [[whole.startOffset, whole.endOffset]];
          const after = intersection(before, unusedIn(ranges));
          if (sizeOf(after) === sizeOf(before) && missing.has(key)) continue;
          isNew = true;
          if (isKept) missing.set(key, after);
        }
      }
    });
    return isNew;
  }

  return {
    take,
    get functions() {
      return missing.size;
    },
    [Symbol.dispose]: () => session.disconnect(),
  };
}

/** Inner ranges override the outer ones, which come first. */
function unusedIn(ranges: readonly Profiler.CoverageRange[]): Interval[] {
  const unused: Interval[] = [];
  for (const { startOffset, endOffset, count } of ranges) {
    if (count === 0) unused.push([startOffset, endOffset]);
  }
  return unused;
}

function intersection(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  return a.flatMap(([start, end]) =>
    b
      .map(([from, to]): Interval => [Math.max(start, from), Math.min(end, to)])
      .filter(([from, to]) => from < to),
  );
}

function sizeOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, [start, end]) => sum + end - start, 0);
}
