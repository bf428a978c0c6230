/** Sites that hold the same images. */
export interface SiteSet {
  readonly images: readonly string[];
  /** How many sites. */
  readonly sites: number;
}

/** A patch that could be made. */
export interface PossiblePatch {
  readonly source: string;
  /** Where several images are one source: a site has to hold them all. */
  readonly images?: readonly string[];
  readonly target: string;
  /** Predicted, in bytes. */
  readonly size: number;
  /** Predicted processor time to make it. */
  readonly seconds: number;
  /** What a pull moves at a site that has the source, in bytes. */
  readonly pull: number;
}

/** At most so many patches, or so much processor time to make them. */
export type Budget = { readonly pairs: number } | { readonly seconds: number };

export interface PlannedPatch extends PossiblePatch {
  /** Bytes it saves over all links, given the patches planned before it. */
  readonly saves: number;
  /** Sites for which it is the smallest so far. */
  readonly sites: number;
}

export interface PatchPlan {
  /** Most valuable first. */
  readonly patches: readonly PlannedPatch[];
  readonly seconds: number;
  /** Over all links: each site gets each target that it does not hold. */
  readonly bytes: { readonly withoutPatches: number; readonly withPatches: number };
}

interface Choice {
  readonly patch: PossiblePatch;
  readonly cost: number;
  /** At least what it saves now: it never saves more later than earlier. */
  bound: number;
}

/**
 * The patches that save most bytes within a budget. Each patch serves the sites that hold its source; each site takes the
 * smallest thing that serves it. What a patch saves only shrinks as others are chosen (the total is submodular), so
 * taking the best per cost again and again is good (Nemhauser, Wolsey, Fisher 1978: within 1 - 1/e of the best for a
 * number of patches), and only those at the top have to be looked at again (Minoux 1978, lazy evaluation). Where costs
 * differ the plan is the better of two: best per cost, and best whatever the cost (Leskovec et al., KDD 2007).
 *
 * @param pullSizes of the targets for a site that has nothing, in bytes
 */
export function planPatches(
  sets: readonly SiteSet[],
  pullSizes: ReadonlyMap<string, number>,
  possible: readonly PossiblePatch[],
  budget: Budget,
): PatchPlan {
  if ('pairs' in budget) return greedy(sets, pullSizes, possible, budget.pairs, () => 1);
  const perCost = greedy(sets, pullSizes, possible, budget.seconds, ({ seconds }) => Math.max(seconds, 0.1));
  const affordable = possible.filter(({ seconds }) => Math.max(seconds, 0.1) <= budget.seconds);
  const whatever = greedy(
    sets,
    pullSizes,
    affordable,
    budget.seconds,
    ({ seconds }) => Math.max(seconds, 0.1),
    true,
  );
  return whatever.bytes.withPatches < perCost.bytes.withPatches ? whatever : perCost;
}

function greedy(
  sets: readonly SiteSet[],
  pullSizes: ReadonlyMap<string, number>,
  possible: readonly PossiblePatch[],
  budget: number,
  costOf: (patch: PossiblePatch) => number,
  byBenefit = false,
): PatchPlan {
  const holders = new Map<string, number[]>();
  for (const [s, { images }] of sets.entries()) {
    for (const image of new Set(images)) {
      const list = holders.get(image);
      if (list) list.push(s);
      else holders.set(image, [s]);
    }
  }
  const held = sets.map(({ images }) => new Set(images));
  const holdersOf = ({ source, images = [source] }: PossiblePatch): readonly number[] => {
    const [first, ...others] = images;
    const all = holders.get(first!) ?? [];
    return others.length === 0 ? all : all.filter((s) => others.every((image) => held[s]!.has(image)));
  };
  // what each set's sites move for each target now; 0 where they hold it
  const moved = new Map<string, Float64Array>();
  for (const [target, pull] of pullSizes) {
    const row = new Float64Array(sets.length).fill(pull);
    for (const s of holders.get(target) ?? []) row[s] = 0;
    moved.set(target, row);
  }
  for (const patch of possible) {
    const row = moved.get(patch.target)!;
    for (const s of holdersOf(patch)) row[s] = Math.min(row[s]!, patch.pull);
  }
  const total = () => {
    let sum = 0;
    for (const row of moved.values()) for (const [s, bytes] of row.entries()) sum += bytes * sets[s]!.sites;
    return sum;
  };
  const savings = (patch: PossiblePatch) => {
    const { target, size } = patch;
    const row = moved.get(target)!;
    let saves = 0;
    let sites = 0;
    for (const s of holdersOf(patch)) {
      if (row[s]! <= size) continue;
      saves += (row[s]! - size) * sets[s]!.sites;
      sites += sets[s]!.sites;
    }
    return { saves, sites };
  };

  const withoutPatches = total();
  const value = ({ bound, cost }: Choice) => (byBenefit ? bound : bound / cost);
  const queue = createHeap<Choice>((a, b) => value(a) > value(b));
  for (const patch of possible) {
    const { saves } = savings(patch);
    if (saves > 0) queue.push({ patch, cost: costOf(patch), bound: saves });
  }
  const patches: PlannedPatch[] = [];
  let left = budget;
  let seconds = 0;
  for (let top = queue.pop(); top; top = queue.pop()) {
    if (top.cost > left) continue;
    const { saves, sites } = savings(top.patch);
    if (saves <= 0) continue;
    if (saves < top.bound) {
      top.bound = saves;
      queue.push(top);
      continue;
    }
    const { patch } = top;
    const row = moved.get(patch.target)!;
    for (const s of holdersOf(patch)) row[s] = Math.min(row[s]!, patch.size);
    patches.push({ ...patch, saves, sites });
    left -= top.cost;
    seconds += patch.seconds;
  }
  return { patches, seconds, bytes: { withoutPatches, withPatches: total() } };
}

/** A binary heap: what comes before all others is popped first. */
function createHeap<Item>(isBefore: (a: Item, b: Item) => boolean): {
  push(item: Item): void;
  pop(): Item | undefined;
} {
  const items: Item[] = [];
  const swap = (i: number, j: number) => ([items[i], items[j]] = [items[j]!, items[i]!]);
  return {
    push(item) {
      let at = items.push(item) - 1;
      for (; at > 0; at = (at - 1) >> 1) {
        const parent = (at - 1) >> 1;
        if (!isBefore(items[at]!, items[parent]!)) break;
        swap(at, parent);
      }
    },
    pop() {
      if (items.length === 0) return undefined;
      swap(0, items.length - 1);
      const top = items.pop();
      for (let at = 0; ;) {
        let first = at;
        for (const child of [2 * at + 1, 2 * at + 2]) {
          if (child < items.length && isBefore(items[child]!, items[first]!)) first = child;
        }
        if (first === at) return top;
        swap(at, first);
        at = first;
      }
    },
  };
}
