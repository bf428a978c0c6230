import type { FormatName } from '../lib/delta/format.ts';
import { panamaxTool } from './panamax.ts';
import { BASELINE } from './peers.ts';
import { allSeries, geometricMean, sizeRatio, totalRatio, type Point, type Results } from './results.ts';

/** A goal and the figure measured by this run. */
export interface Goal {
  readonly what: string;
  readonly limit: number;
  /** Undefined if no pair has the figure. */
  readonly measured?: number;
  /** Unit of the limit and of the measured figure. Ratios to the baseline have none. */
  readonly unit?: 'MiB' | '%';
  /** Number of pairs measured. */
  readonly pairs: number;
}

const MIB = 1024 ** 2;
const REBUILD = /-rebuild$/;

/** The goals of panamax with effort default. Each figure should be at most its limit. */
export function judgeGoals(results: Results): Goal[] {
  const series = allSeries(results, BASELINE).filter(({ effort }) => effort === 'default');
  const pointsOf = (format: FormatName) =>
    series.find(({ tool }) => tool === panamaxTool(format))?.points ?? [];
  const xdelta = pointsOf('xdelta');
  const ociDelta = pointsOf('oci-delta');
  const both = [...xdelta, ...ociDelta];
  const panamax = pointsOf('panamax');
  const rebuilds = both.filter(({ pair }) => REBUILD.test(pair.target));
  return [
    goal('`xdelta`, bytes in total', 0.85, xdelta, bytesRatio),
    goal('`xdelta`, bytes of the worst pair', 1.02, xdelta, (points) => largest(points.map(sizeRatio))),
    goal('`xdelta`, encode wall time in total, verified', 0.4, xdelta, encodeRatio),
    goal('`oci-delta`, geometric mean of the pairs’ ratios', 0.42, ociDelta, (points) =>
      geometricMean(points.map(sizeRatio)),
    ),
    goal('`oci-delta`, encode wall time in total, verified', 0.6, ociDelta, encodeRatio),
    goal('`panamax`, geometric mean of the pairs’ ratios', 0.42, panamax, (points) =>
      geometricMean(points.map(sizeRatio)),
    ),
    goal('`panamax`, encode wall time in total, verified', 0.5, panamax, encodeRatio),
    goal('`panamax`, apply wall time in total', 0.35, withApply(panamax), applyRatio),
    {
      ...goal('`panamax`, peak memory of any encode', 512, panamax, (points) =>
        largest(points.map(({ entry }) => entry.encode.peakMemory / MIB)),
      ),
      unit: 'MiB',
    },
    {
      ...goal('`panamax`, peak memory of any apply', 160, withApply(panamax), (points) =>
        largest(points.map(({ entry }) => entry.apply!.peakMemory / MIB)),
      ),
      unit: 'MiB',
    },
    {
      ...goal('peak memory of any encode', 512, both, (points) =>
        largest(points.map(({ entry }) => entry.encode.peakMemory / MIB)),
      ),
      unit: 'MiB',
    },
    goal('`xdelta`, apply wall time in total', 1, withApply(xdelta), applyRatio),
    goal('`oci-delta`, apply wall time in total', 1, withApply(ociDelta), applyRatio),
    {
      ...goal('peak memory of any apply', 128, withApply(both), (points) =>
        largest(points.map(({ entry }) => entry.apply!.peakMemory / MIB)),
      ),
      unit: 'MiB',
    },
    {
      ...goal('no-cache rebuild, patch of raw size', 0.1, rebuilds, (points) =>
        largest(points.map(({ entry, pair }) => (100 * entry.bytes) / pair.rawSize)),
      ),
      unit: '%',
    },
  ];
}

export function isReached({ measured, limit }: Goal): boolean | undefined {
  return measured === undefined ? undefined : measured <= limit;
}

function goal(
  what: string,
  limit: number,
  points: readonly Point[],
  measure: (points: readonly Point[]) => number,
): Goal {
  const pairs = new Set(points.map(({ pair }) => pair)).size;
  return { what, limit, pairs, ...(pairs > 0 ? { measured: measure(points) } : {}) };
}

function withApply(points: readonly Point[]): Point[] {
  return points.filter(({ entry, baseline }) => entry.apply && baseline.apply);
}

function bytesRatio(points: readonly Point[]): number {
  return totalRatio(points, ({ bytes }) => bytes);
}

function encodeRatio(points: readonly Point[]): number {
  return totalRatio(points, ({ encode }) => encode.wallSeconds);
}

function applyRatio(points: readonly Point[]): number {
  return totalRatio(points, ({ apply }) => apply!.wallSeconds);
}

function largest(values: readonly number[]): number {
  return Math.max(...values);
}
