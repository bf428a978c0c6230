import { arch, cpus, totalmem } from 'node:os';
import type { Effort } from '../lib/delta/align/alignment.ts';
import type { Pair } from './corpus.ts';
import type { Usage } from './measure.ts';

/** The results of a run, as in `delta.json`. Sizes are in bytes. */
export interface Results {
  readonly started: string;
  readonly machine: Machine;
  /** Programs that are not installed, so that their results are missing. */
  readonly absent: readonly string[];
  readonly pairs: PairResult[];
}

export interface Machine {
  readonly cpu: string;
  readonly architecture: string;
  readonly cores: number;
  readonly memory: number;
  readonly node: string;
}

export interface PairResult extends Pair {
  /** Size of the target's layer stream. */
  readonly rawSize: number;
  /** Size of a pull at a site without any image. */
  readonly pullSize: number;
  /** Size of a pull at a site that has the source's layers. */
  readonly dedupedPullSize: number;
  readonly entries: Entry[];
}

/** The result of a contestant on a pair. */
export type Entry = Done | Undone;

/** A contestant that was measured. */
export interface Contender {
  /** The name in `--tools`. */
  readonly tool: string;
  /** Only for panamax. */
  readonly effort?: Effort;
}

export interface Done extends Contender {
  readonly bytes: number;
  readonly encode: Usage;
  readonly apply?: Usage;
  /** Resources of the format's stock program on the same patch. */
  readonly stockApply?: Usage;
}

export interface Undone extends Contender {
  /** The reason for a missing patch, or for one that does not rebuild the target. */
  readonly failure: string;
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    architecture: arch(),
    cores: cpus().length,
    memory: totalmem(),
    node: process.version,
  };
}

export function contenderName({ tool, effort }: Contender): string {
  return effort === undefined ? tool : `${tool} ${effort}`;
}

export function pairName({ source, target }: Pair): string {
  return `${source} → ${target}`;
}

/** A contestant's results on the pairs that the baseline completed as well. */
export interface Series extends Contender {
  readonly points: readonly Point[];
}

export interface Point {
  readonly pair: PairResult;
  readonly entry: Done;
  readonly baseline: Done;
}

/** The results of all contestants, in the order of their runs. */
export function allSeries(results: Results, baseline: string): Series[] {
  const contenders = new Map<string, Contender>();
  for (const entry of results.pairs.flatMap(({ entries }) => entries)) {
    const { tool, effort } = entry;
    contenders.set(contenderName(entry), { tool, ...(effort ? { effort } : {}) });
  }
  return [...contenders].map(([name, contender]) => ({
    ...contender,
    points: results.pairs.flatMap((pair) => {
      const [entry, reference] = [findDone(pair, name), findDone(pair, baseline)];
      return entry && reference ? [{ pair, entry, baseline: reference }] : [];
    }),
  }));
}

export function findDone(pair: PairResult, name: string): Done | undefined {
  return pair.entries.filter(isDone).find((entry) => contenderName(entry) === name);
}

export function isDone(entry: Entry): entry is Done {
  return 'bytes' in entry;
}

/** Ratio of two sums over the same points. */
export function totalRatio(points: readonly Point[], value: (entry: Done) => number): number {
  const sum = (pick: (point: Point) => Done) =>
    points.reduce((total, point) => total + value(pick(point)), 0);
  return sum(({ entry }) => entry) / sum(({ baseline }) => baseline);
}

export function sizeRatio({ entry, baseline }: Point): number {
  return entry.bytes / baseline.bytes;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
