import { commonLength } from '../words.ts';
import {
  AFTER_LITERAL,
  AFTER_MATCH,
  AFTER_REP,
  AFTER_SHORT_REP,
  literalBase,
  type SymbolCoder,
} from './coder.ts';
import { type MatchFinder, MIN_HASHED } from './matchfinder.ts';
import {
  IS_MATCH,
  IS_REP,
  IS_REP0,
  IS_REP0_LONG,
  IS_REP1,
  IS_REP2,
  LENGTH_STATES,
  LITERAL_STATES,
  MAX_MATCH,
  MIN_MATCH,
} from './model.ts';
import { LENGTHS, price0, price1, Prices, SHORT_DISTANCES, slotOf } from './prices.ts';
import { FIRST_MATCH_STEP, LITERAL_STEP, type Parser } from './symbols.ts';

/** Positions that are optimized together. */
const SPAN = 1024;
const NODES = SPAN + MAX_MATCH + 1;
const INFINITE = 2 ** 30;
/** Symbols between updates of the prices. */
const UPDATE_INTERVAL = 256;

/**
 * Chooses the cheapest path of literals and matches by the current prices, like LZMA's "optimal" parser: forward
 * dynamic programming, in which each node keeps its best arrival.
 */
export class OptimalParser implements Parser {
  readonly #view: DataView;
  readonly #buffer: Uint8Array;
  readonly #finder: MatchFinder;
  readonly #coder: SymbolCoder;
  readonly #prices: Prices;
  readonly #niceLength: number;
  readonly #positionMask: number;
  readonly lengths = new Uint16Array(NODES);
  readonly steps = new Int32Array(NODES);
  readonly #cost = new Int32Array(NODES);
  readonly #length = new Uint16Array(NODES);
  readonly #step = new Int32Array(NODES);
  readonly #state = new Uint8Array(NODES);
  /** The last four distances at each node. */
  readonly #reps = new Uint32Array(NODES * 4);
  /** The last node with a cost. */
  #last = 0;
  #symbolsUntilUpdate = 0;

  constructor(view: DataView, finder: MatchFinder, coder: SymbolCoder, niceLength: number) {
    this.#view = view;
    this.#buffer = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    this.#finder = finder;
    this.#coder = coder;
    this.#prices = new Prices(coder.range.probabilities, coder.properties.pb);
    this.#niceLength = niceLength;
    this.#positionMask = (1 << coder.properties.pb) - 1;
  }

  reset(): void {
    this.#symbolsUntilUpdate = 0;
  }

  parse(at: number, end: number): number {
    if (this.#symbolsUntilUpdate <= 0) {
      this.#prices.update();
      this.#symbolsUntilUpdate = UPDATE_INTERVAL;
    }
    this.#cost[0] = 0;
    this.#state[0] = this.#coder.state;
    this.#reps.set(this.#coder.reps);
    this.#last = 0;
    let node = 0;
    for (; ; node++) {
      if (node > 0) {
        this.#arrive(node);
        if (node === this.#last || node >= SPAN) break;
      }
      const here = at + node;
      const max = Math.min(MAX_MATCH, end - here);
      const matches = max >= MIN_HASHED ? this.#finder.find(here, max) : 0;
      const taken = this.#niceStep(node, here, max, matches);
      if (taken > 0) {
        node += taken;
        break;
      }
      this.#literalStep(node, here);
      const longest = this.#repSteps(node, here, max);
      this.#matchSteps(node, here, matches, longest);
    }
    const symbols = this.#path(node);
    this.#symbolsUntilUpdate -= symbols;
    return symbols;
  }

  /** Takes a match of at least the nice length at once. @returns its length, or 0 */
  #niceStep(node: number, here: number, max: number, matches: number): number {
    const nice = this.#niceLength;
    if (max < nice) return 0;
    for (let which = 0; which < 4; which++) {
      const length = this.#repLength(node, here, which, max);
      if (length < nice) continue;
      this.#length[node + length] = length;
      this.#step[node + length] = which;
      return length;
    }
    const length = matches > 0 ? this.#finder.lengths[matches - 1]! : 0;
    if (length < nice) return 0;
    this.#length[node + length] = length;
    this.#step[node + length] = FIRST_MATCH_STEP + this.#finder.distances[matches - 1]!;
    return length;
  }

  /** Computes state and distances of a node from its best arrival. */
  #arrive(node: number): void {
    const reps = this.#reps;
    const step = this.#step[node]!;
    const length = this.#length[node]!;
    const from = node - length;
    const state = this.#state[from]!;
    const here = node * 4;
    const there = from * 4;
    if (step < 0) {
      this.#state[node] = AFTER_LITERAL[state]!;
      for (let i = 0; i < 4; i++) reps[here + i] = reps[there + i]!;
    } else if (step < FIRST_MATCH_STEP) {
      this.#state[node] = length === 1 ? AFTER_SHORT_REP[state]! : AFTER_REP[state]!;
      for (let i = 0; i < 4; i++) reps[here + i] = reps[there + i]!;
      for (let i = step; i > 0; i--) reps[here + i] = reps[there + i - 1]!;
      reps[here] = reps[there + step]!;
    } else {
      this.#state[node] = AFTER_MATCH[state]!;
      for (let i = 3; i > 0; i--) reps[here + i] = reps[there + i - 1]!;
      reps[here] = step - FIRST_MATCH_STEP;
    }
  }

  #reach(node: number, cost: number, length: number, step: number): void {
    if (cost >= this.#cost[node]!) return;
    this.#cost[node] = cost;
    this.#length[node] = length;
    this.#step[node] = step;
  }

  /** Initializes the costs of nodes up to `node`. */
  #extend(node: number): void {
    while (this.#last < node) this.#cost[++this.#last] = INFINITE;
  }

  #literalStep(node: number, here: number): void {
    const buffer = this.#buffer;
    const p = this.#coder.range.probabilities;
    const properties = this.#coder.properties;
    const state = this.#state[node]!;
    const byte = buffer[here]!;
    const base = literalBase(properties, here, here > 0 ? buffer[here - 1]! : 0);
    const rep = here - this.#reps[node * 4]! - 1;
    const expected = rep >= 0 ? buffer[rep]! : 0;
    const isMatch = p[IS_MATCH + (state << 4) + (here & this.#positionMask)]!;
    let cost = this.#cost[node]! + price0(isMatch);
    let same = state >= LITERAL_STATES;
    for (let symbol = 1, i = 7; i >= 0; i--) {
      const bit = (byte >>> i) & 1;
      const expectedBit = (expected >>> i) & 1;
      const probability = p[base + (same ? 0x100 + (expectedBit << 8) : 0) + symbol]!;
      cost += bit === 0 ? price0(probability) : price1(probability);
      same &&= bit === expectedBit;
      symbol = (symbol << 1) | bit;
    }
    this.#extend(node + 1);
    this.#reach(node + 1, cost, 1, LITERAL_STEP);
    if (rep < 0 || byte !== expected) return;
    const short =
      this.#cost[node]! +
      price1(isMatch) +
      price1(p[IS_REP + state]!) +
      price0(p[IS_REP0 + state]!) +
      price0(p[IS_REP0_LONG + (state << 4) + (here & this.#positionMask)]!);
    this.#reach(node + 1, short, 1, 0);
  }

  #repLength(node: number, here: number, which: number, max: number): number {
    const from = here - this.#reps[node * 4 + which]! - 1;
    return from < 0 ? 0 : commonLength(this.#view, from, here, max);
  }

  /** Tries repeated matches. @returns the longest length */
  #repSteps(node: number, here: number, max: number): number {
    const p = this.#coder.range.probabilities;
    const state = this.#state[node]!;
    const positionState = here & this.#positionMask;
    const prices = this.#prices.rep;
    const lengthPrices = positionState * LENGTHS;
    const base =
      this.#cost[node]! + price1(p[IS_MATCH + (state << 4) + positionState]!) + price1(p[IS_REP + state]!);
    let longest = 1;
    for (let which = 0; which < 4; which++) {
      const length = this.#repLength(node, here, which, max);
      if (length < MIN_MATCH) continue;
      let cost = base;
      if (which === 0) {
        cost += price0(p[IS_REP0 + state]!) + price1(p[IS_REP0_LONG + (state << 4) + positionState]!);
      } else {
        cost += price1(p[IS_REP0 + state]!);
        const p1 = p[IS_REP1 + state]!;
        const p2 = p[IS_REP2 + state]!;
        cost += which === 1 ? price0(p1) : price1(p1) + (which === 2 ? price0(p2) : price1(p2));
      }
      this.#extend(node + length);
      for (let l = length; l >= MIN_MATCH; l--)
        this.#reach(node + l, cost + prices[lengthPrices + l]!, l, which);
      if (length > longest) longest = length;
    }
    return longest;
  }

  /** Tries matches that are longer than `longest`. */
  #matchSteps(node: number, here: number, matches: number, longest: number): void {
    const { lengths, distances } = this.#finder;
    if (matches === 0 || lengths[matches - 1]! <= longest) return;
    const p = this.#coder.range.probabilities;
    const state = this.#state[node]!;
    const positionState = here & this.#positionMask;
    const { match, short, slot, align } = this.#prices;
    const lengthPrices = positionState * LENGTHS;
    const base =
      this.#cost[node]! + price1(p[IS_MATCH + (state << 4) + positionState]!) + price0(p[IS_REP + state]!);
    this.#extend(node + lengths[matches - 1]!);
    let length = longest + 1;
    for (let i = 0; i < matches; i++) {
      const distance = distances[i]!;
      const distanceSlot = slotOf(distance);
      for (; length <= lengths[i]!; length++) {
        const lengthState = Math.min(length - MIN_MATCH, LENGTH_STATES - 1);
        const far =
          distance < SHORT_DISTANCES
            ? short[SHORT_DISTANCES * lengthState + distance]!
            : slot[64 * lengthState + distanceSlot]! + align[distance & 15]!;
        this.#reach(
          node + length,
          base + match[lengthPrices + length]! + far,
          length,
          FIRST_MATCH_STEP + distance,
        );
      }
    }
  }

  /** Puts the symbols of the path to `end` in order. @returns their number */
  #path(end: number): number {
    let symbols = 0;
    for (let node = end; node > 0; node -= this.#length[node]!) symbols++;
    for (let node = end, i = symbols - 1; node > 0; node -= this.#length[node]!) {
      this.lengths[i] = this.#length[node]!;
      this.steps[i--] = this.#step[node]!;
    }
    return symbols;
  }
}
