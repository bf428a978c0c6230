import type { Comparison } from '../lib/pairing/compare.ts';
import type { Costs } from '../lib/delta/costs.ts';
import { predict, type PatchSizes } from '../lib/pairing/prediction.ts';
import type { Target } from '../lib/pairing/target.ts';
import { accuracyOf, type Accuracy, type KnownPair } from './regret.ts';

/** A pair with an actual patch, and the evidence that predictions use. */
export interface FitPair extends KnownPair {
  readonly wanted: Target;
  readonly comparison: Comparison;
  readonly sizes: PatchSizes;
}

type Rate = keyof Costs['secondsPerMiB'];

/** Errors beyond this, in logarithms, count linearly, so that outliers of the formula do not dominate the fit. */
const LINEAR_FROM = 0.15;
/** Weight of staying near the initial costs. It matters with few pairs. */
const INERTIA = 0.3;
const FIRST_STEP = 1.3;
const LAST_STEP = 1.01;

/**
 * Fits costs to the sizes of all pairs, and to the processor time of pairs with effort default. Starts from the given costs
 * and moves each up and down by decreasing steps as long as the error falls.
 */
export function fitCosts(pairs: readonly FitPair[], from: Costs): Costs {
  const worth = pairs.filter(({ actual, pull }) => actual < pull);
  const timed = pairs.filter(({ effort }) => effort === 'default');
  const names = Object.keys(from).filter((name) => name !== 'secondsPerMiB') as Exclude<
    keyof Costs,
    'secondsPerMiB'
  >[];
  const rates = Object.keys(from.secondsPerMiB) as Rate[];
  const sized = descend(
    names.map((name) => from[name]),
    (values) => ({ ...from, ...Object.fromEntries(names.map((name, i) => [name, values[i]])) }),
    (costs) =>
      sum(worth, ({ wanted, comparison, sizes, actual }) =>
        loss(predict(wanted, comparison, sizes, costs).size / actual),
      ),
  );
  return descend(
    rates.map((rate) => from.secondsPerMiB[rate]),
    (values) => {
      const secondsPerMiB = Object.fromEntries(rates.map((rate, i) => [rate, values[i]!]));
      return { ...sized, secondsPerMiB: secondsPerMiB as Costs['secondsPerMiB'] };
    },
    (costs) =>
      sum(timed, ({ wanted, comparison, sizes, seconds }) =>
        // tenths of seconds count little
        loss((predict(wanted, comparison, sizes, costs).seconds + 0.5) / (seconds + 0.5)),
      ),
  );
}

function descend(
  start: readonly number[],
  make: (values: number[]) => Costs,
  error: (costs: Costs) => number,
) {
  const total = (values: number[]) =>
    error(make(values)) + INERTIA * sum(values, (value, i) => Math.log(value / start[i]!) ** 2);
  const values = [...start];
  let least = total(values);
  for (let step = FIRST_STEP; step > LAST_STEP; step = 1 + (step - 1) * 0.6) {
    for (let isBetter = true; isBetter;) {
      isBetter = false;
      for (const i of values.keys()) {
        for (const factor of [step, 1 / step]) {
          const moved = values.with(i, values[i]! * factor);
          const found = total(moved);
          if (found >= least - 1e-4) continue;
          [values[i], least, isBetter] = [moved[i]!, found, true];
          break;
        }
      }
    }
  }
  return make(values);
}

/** Pseudo-Huber loss of a ratio's logarithm. */
function loss(ratio: number): number {
  return Math.sqrt(1 + (Math.log(ratio) / LINEAR_FROM) ** 2) - 1;
}

/** Initial costs that do not depend on the corpus: round numbers, the same for all formats. */
const GUESS: Costs = {
  patch: 1000,
  recipe: 1,
  header: 5,
  file: 100,
  small: 0.02,
  coded: 0.8,
  slope: 0.1,
  power: 2,
  spread: 1,
  secondsPerMiB: { target: 0.01, changed: 0.1, coded: 0.3 },
};

export interface LeftOut {
  readonly family: string;
  /** Pairs with at least one image of the family. */
  readonly all: Accuracy;
  /** Pairs of two images of the family. */
  readonly own: Accuracy;
}

/** Evaluates, for each family, costs that were fitted to the pairs without an image of the family. */
export function leaveOneOut(pairs: readonly FitPair[], familyOf: (image: string) => string): LeftOut[] {
  const families = new Set(pairs.flatMap(({ source, target }) => [familyOf(source), familyOf(target)]));
  return [...families].map((family) => {
    const imagesOf = ({ source, target }: FitPair) =>
      [source, target].filter((one) => familyOf(one) === family).length;
    const costs = fitCosts(
      pairs.filter((pair) => imagesOf(pair) === 0),
      GUESS,
    );
    const left = repredicted(
      pairs.filter((pair) => imagesOf(pair) > 0),
      costs,
    );
    return { family, all: accuracyOf(left), own: accuracyOf(left.filter((pair) => imagesOf(pair) === 2)) };
  });
}

export function repredicted(pairs: readonly FitPair[], costs: Costs): FitPair[] {
  return pairs.map((pair) => {
    const { size: predicted, seconds: predictedSeconds } = predict(
      pair.wanted,
      pair.comparison,
      pair.sizes,
      costs,
    );
    return { ...pair, predicted, predictedSeconds };
  });
}

function sum<Item>(items: readonly Item[], value: (item: Item, i: number) => number): number {
  return items.reduce((total, item, i) => total + value(item, i), 0);
}
