import { tlshDistance } from '../lib/pairing/signature/tlsh.ts';
import type { Signature } from '../lib/pairing/signature/signature.ts';
import type { Effort } from '../lib/delta/align/alignment.ts';
import type { Pair } from './corpus.ts';

/** A pair with an actual patch. Sizes are in bytes. */
export interface KnownPair extends Pair {
  readonly predicted: number;
  /** Size with effort default; the size of a patch made with fast is converted. */
  readonly actual: number;
  readonly effort: Effort;
  /** Processor time of encoding. */
  readonly predictedSeconds: number;
  readonly seconds: number;
  /** Size of a pull at a site that has the source. */
  readonly pull: number;
}

/** Quality of a method to choose sources. */
export interface Regret {
  /** Patch bytes of the first choice, divided by those of the best source. */
  readonly mean: number;
  readonly worst: number;
  /** The target of `worst`. */
  readonly worstTarget: string;
  /** Share of targets with a best source (within 1 % of it) among the first three. */
  readonly inFirstThree: number;
  readonly targets: number;
}

/** Orders the sources of one target, best first. */
export type Chooser = (target: string, sources: readonly string[]) => readonly string[];

/** Sources whose patches differ by a smaller factor are equally good. */
const EQUAL = 1.01;

export function regretOf(pairs: readonly KnownPair[], choose: Chooser): Regret {
  const byTarget = Map.groupBy(pairs, ({ target }) => target);
  const regrets: { target: string; regret: number; inThree: boolean }[] = [];
  for (const [target, known] of byTarget) {
    const actual = new Map(known.map((pair) => [pair.source, pair.actual]));
    const best = Math.min(...actual.values());
    const order = choose(target, [...actual.keys()]);
    regrets.push({
      target,
      regret: actual.get(order[0]!)! / best,
      inThree: order.slice(0, 3).some((source) => actual.get(source)! <= best * EQUAL),
    });
  }
  const worst = regrets.reduce((a, b) => (b.regret > a.regret ? b : a));
  return {
    mean: regrets.reduce((sum, { regret }) => sum + regret, 0) / regrets.length,
    worst: worst.regret,
    worstTarget: worst.target,
    inFirstThree: regrets.filter(({ inThree }) => inThree).length / regrets.length,
    targets: regrets.length,
  };
}

export function byPrediction(pairs: readonly KnownPair[]): Chooser {
  const predicted = new Map(pairs.map((pair) => [`${pair.source}:${pair.target}`, pair.predicted]));
  return (target, sources) => sortedBy(sources, (source) => predicted.get(`${source}:${target}`)!);
}

export function byTlsh(signatures: ReadonlyMap<string, Signature>): Chooser {
  return (target, sources) =>
    sortedBy(sources, (source) =>
      tlshDistance(
        signatures.get(target)!.tlsh ?? '0'.repeat(70),
        signatures.get(source)!.tlsh ?? 'F'.repeat(70),
      ),
    );
}

/** Orders by the TLSH distance of each target layer to the nearest source layer, weighted by size. */
export function byLayerTlsh(signatures: ReadonlyMap<string, Signature>): Chooser {
  const farthest = tlshDistance('0'.repeat(70), 'F'.repeat(70));
  const distance = (a: string | null, b: string | null) => (a && b ? tlshDistance(a, b) : farthest);
  return (target, sources) => {
    const wanted = signatures.get(target)!;
    return sortedBy(sources, (source) => {
      const had = signatures.get(source)!.layers.map(({ tlsh }) => tlsh);
      return wanted.layers.reduce(
        (sum, { tlsh }, i) =>
          sum + wanted.image.layers[i]!.size * Math.min(...had.map((other) => distance(tlsh, other))),
        0,
      );
    });
  };
}

/** Orders images of the target's name first, the newest first. */
export function byName(signatures: ReadonlyMap<string, Signature>): Chooser {
  const created = (name: string) => {
    const config = JSON.parse(signatures.get(name)!.image.configDocument) as { created?: string };
    return Date.parse(config.created ?? '') || 0;
  };
  return (target, sources) =>
    sortedBy(
      sources,
      (source) => (repository(source) === repository(target) ? 0 : 1e15) - created(source) / 1000,
    );
}

/** The family of an image: its name without the part of the release. */
export function repository(name: string): string {
  return name.replace(/-(r\d+|rebuild|trixie|bookworm.*)$/, '');
}

function sortedBy(sources: readonly string[], key: (source: string) => number): string[] {
  return sources.toSorted((a, b) => key(a) - key(b) || (a < b ? -1 : 1));
}

export interface Accuracy {
  /** NaN without pairs. */
  readonly share: number;
  readonly pairs: number;
}

/** Share of pairs predicted within 25 %, of the pairs with a patch smaller than a pull. */
export function accuracyOf(pairs: readonly KnownPair[]): Accuracy {
  const worth = pairs.filter(({ actual, pull }) => actual < pull);
  const near = worth.filter(({ predicted, actual }) => Math.abs(predicted / actual - 1) <= 0.25);
  return { share: near.length / worth.length, pairs: worth.length };
}

/** Predicted processor time divided by the actual one, for pairs made with effort default. */
export function timeRatioOf(pairs: readonly KnownPair[]): { median: number; within: number } {
  const ratios = pairs
    .filter(({ effort }) => effort === 'default')
    .map(({ predictedSeconds, seconds }) => predictedSeconds / seconds)
    .toSorted((a, b) => a - b);
  const near = ratios.filter((ratio) => ratio >= 0.5 && ratio <= 2);
  return { median: ratios[ratios.length >> 1] ?? NaN, within: near.length / ratios.length };
}
