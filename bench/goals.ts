import type { Effort } from '../lib/delta/align/alignment.ts';
import { EFFORTS, panamaxTool, WHOLE_COMMAND } from './panamax.ts';
import { BASELINE } from './peers.ts';
import {
  allSeries,
  findDone,
  geometricMean,
  sizeRatio,
  totalRatio,
  type Point,
  type Results,
} from './results.ts';

type Unit = 'B' | 'MiB' | '%';

/** A goal and the figure measured by this run. */
export interface Goal {
  readonly what: string;
  readonly limit: number;
  /** Undefined if no pair has the figure. */
  readonly measured?: number;
  /** Unit of the limit and of the measured figure. Ratios to the baseline have none. */
  readonly unit?: Unit;
  /** Number of pairs measured. */
  readonly pairs: number;
}

const MIB = 1024 ** 2;
const PEER = 'hdiffz';
const REBUILD = /-rebuild$/;

/** The goals of panamax. Each figure should be at most its limit. */
export function judgeGoals(results: Results): Goal[] {
  const series = allSeries(results, BASELINE);
  const pointsOf = (tool: string, effort: Effort = 'default') =>
    series.find((one) => one.tool === tool && one.effort === effort)?.points ?? [];
  const native = (effort: Effort) => pointsOf(panamaxTool('panamax'), effort);
  const whole = series.find(({ tool }) => tool === WHOLE_COMMAND)?.points ?? [];
  const efforts = EFFORTS.flatMap((effort) => native(effort));
  const xdelta = pointsOf(panamaxTool('xdelta'));
  const ociDelta = pointsOf(panamaxTool('oci-delta'));
  const others = [...xdelta, ...ociDelta];
  return [
    goal('`panamax`, geometric mean of the pairs’ ratios', 0.42, native('default'), meanRatio),
    goal('`panamax` best, geometric mean of the pairs’ ratios', 0.38, native('best'), meanRatio),
    goal('`panamax` best, the worst pair against hdiffz', 1, withPeer(native('best')), peerRatio),
    goal('`panamax`, no-cache rebuild', 3000, native('default').filter(isRebuild), largestSize, 'B'),
    goal('`panamax` fast, encode wall time in total, verified', 0.3, native('fast'), encodeRatio),
    goal('`panamax`, encode wall time in total, verified', 0.5, native('default'), encodeRatio),
    goal('`panamax` best, encode wall time in total, verified', 1, native('best'), encodeRatio),
    goal('`panamax` fast, apply wall time in total', 0.25, withApply(native('fast')), applyRatio),
    goal('`panamax`, apply wall time in total', 0.35, withApply(native('default')), applyRatio),
    goal('`panamax` best, apply wall time in total', 1, withApply(native('best')), applyRatio),
    goal('`panamax`, peak memory of any encode', 512, efforts, encodeMemory, 'MiB'),
    goal('`panamax`, peak memory of any apply', 160, withApply(efforts), applyMemory, 'MiB'),
    goal('`panamax diff`, wall time of the worst pair', 1, whole, worstEncode),
    goal('`xdelta`, bytes in total', 0.85, xdelta, bytesRatio),
    goal('`xdelta`, bytes of the worst pair', 1.02, xdelta, (points) => largest(points.map(sizeRatio))),
    goal('`xdelta`, encode wall time in total, verified', 0.4, xdelta, encodeRatio),
    goal('`oci-delta`, geometric mean of the pairs’ ratios', 0.42, ociDelta, meanRatio),
    goal('`oci-delta`, encode wall time in total, verified', 0.6, ociDelta, encodeRatio),
    goal('`xdelta` and `oci-delta`, peak memory of any encode', 512, others, encodeMemory, 'MiB'),
    goal('`xdelta`, apply wall time in total', 1, withApply(xdelta), applyRatio),
    goal('`oci-delta`, apply wall time in total', 1, withApply(ociDelta), applyRatio),
    goal('`xdelta` and `oci-delta`, peak memory of any apply', 128, withApply(others), applyMemory, 'MiB'),
    goal(
      '`xdelta` and `oci-delta`, no-cache rebuild of raw size',
      0.1,
      others.filter(isRebuild),
      rawShare,
      '%',
    ),
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
  unit?: Unit,
): Goal {
  const pairs = new Set(points.map(({ pair }) => pair)).size;
  return { what, limit, pairs, ...(unit && { unit }), ...(pairs > 0 && { measured: measure(points) }) };
}

function withApply(points: readonly Point[]): Point[] {
  return points.filter(({ entry, baseline }) => entry.apply && baseline.apply);
}

function isRebuild({ pair }: Point): boolean {
  return REBUILD.test(pair.target);
}

function largestSize(points: readonly Point[]): number {
  return largest(points.map(({ entry }) => entry.bytes));
}

/** The points of pairs on which hdiffz was measured, too. */
function withPeer(points: readonly Point[]): Point[] {
  return points.filter(({ pair }) => findDone(pair, PEER));
}

/** The largest ratio to hdiffz. */
function peerRatio(points: readonly Point[]): number {
  return largest(points.map(({ pair, entry }) => entry.bytes / findDone(pair, PEER)!.bytes));
}

function meanRatio(points: readonly Point[]): number {
  return geometricMean(points.map(sizeRatio));
}

function encodeMemory(points: readonly Point[]): number {
  return largest(points.map(({ entry }) => entry.encode.peakMemory / MIB));
}

function applyMemory(points: readonly Point[]): number {
  return largest(points.map(({ entry }) => entry.apply!.peakMemory / MIB));
}

function worstEncode(points: readonly Point[]): number {
  return largest(points.map((point) => encodeRatio([point])));
}

/** In percent. */
function rawShare(points: readonly Point[]): number {
  return largest(points.map(({ entry, pair }) => (100 * entry.bytes) / pair.rawSize));
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
