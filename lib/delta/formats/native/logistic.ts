/**
 * Mixes predictions of a bit in the logistic domain, as PAQ does (Mahoney, "Adaptive weighing of context models for lossless
 * data compression", 2005). Integers only: every machine computes the same. A stretched probability is ln(p / (1 − p)) in
 * units of 1/256, from -LIMIT to LIMIT; probabilities have 16 bits.
 */

const LIMIT = 3071;
/** 65536 / (1 + e^(-x/2)) for x from -24 to 24. */
const LOGISTIC = [
  0, 1, 1, 2, 3, 5, 8, 13, 22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625,
  24743, 32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438,
  65476, 65500, 65514, 65523, 65528, 65531, 65533, 65534, 65535, 65535, 65536,
];
const STEP = 128;
/** Probabilities are kept this far from 0 and from 1. */
const MARGIN = 24;

const SQUASHED = Int32Array.from({ length: 2 * LIMIT + 1 }, (_, i) => {
  const at = i - LIMIT + 24 * STEP;
  const [low, part] = [Math.floor(at / STEP), at % STEP];
  const between = Math.floor((LOGISTIC[low]! * (STEP - part) + LOGISTIC[low + 1]! * part) / STEP);
  return Math.min(65536 - MARGIN, Math.max(MARGIN, between));
});

/** The first stretched value that squashes to a probability or above. */
const STRETCHED = stretchedValues();

function stretchedValues(): Int16Array {
  const values = new Int16Array(65536);
  for (let probability = 0, i = 0; probability < values.length; probability++) {
    while (i < 2 * LIMIT && SQUASHED[i]! < probability) i++;
    values[probability] = i - LIMIT;
  }
  return values;
}

/** @param probability in 2^-16, below 2^16 */
export function stretch(probability: number): number {
  return STRETCHED[probability]!;
}

/** @param stretched from -LIMIT to LIMIT; @returns a probability in 2^-16 */
export function squash(stretched: number): number {
  return SQUASHED[stretched + LIMIT]!;
}

export const MAX_STRETCHED = LIMIT;

const WEIGHT_BITS = 16;

/** One layer of weights, a set for each context. */
export class Mixer {
  readonly #count: number;
  readonly #weights: Float64Array;
  readonly #inputs: Int32Array;
  readonly #rate: number;
  #set = 0;
  #probability = 32768;

  /** @param rate in 2^-16: how far an error moves weights */
  constructor(count: number, sets: number, rate: number) {
    this.#count = count;
    this.#weights = new Float64Array(count * sets).fill(Math.floor(2 ** WEIGHT_BITS / 3));
    this.#inputs = new Int32Array(count);
    this.#rate = rate;
  }

  /** @param mixer of as many inputs and sets */
  copyFrom(mixer: Mixer): void {
    this.#weights.set(mixer.#weights);
  }

  /** @param stretched the prediction of model `i` */
  input(i: number, stretched: number): void {
    this.#inputs[i] = stretched;
  }

  /** @returns the probability of a 1, in 2^-16 */
  mix(set: number): number {
    this.#set = set * this.#count;
    let sum = 0;
    for (let i = 0; i < this.#count; i++) sum += this.#inputs[i]! * this.#weights[this.#set + i]!;
    const stretched = Math.min(LIMIT, Math.max(-LIMIT, Math.floor(sum / 2 ** WEIGHT_BITS)));
    this.#probability = SQUASHED[stretched + LIMIT]!;
    return this.#probability;
  }

  /** Moves the weights used last towards those that predict `bit`. */
  update(bit: number): void {
    const error = (bit === 0 ? 0 : 65535) - this.#probability;
    for (let i = 0; i < this.#count; i++) {
      this.#weights[this.#set + i]! += Math.floor((this.#inputs[i]! * error * this.#rate) / 2 ** 20);
    }
  }
}
