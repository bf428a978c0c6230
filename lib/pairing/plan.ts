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

/** A patch that is there already: it serves, and leads on to what can be made from its target. */
export type ExistingPatch = Pick<PossiblePatch, 'source' | 'images' | 'target' | 'size'>;

/** Patches one behind the other, at most, before one that is planned. */
const MOST_BEFORE = 2;

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
 * A site also gets on with a patch from an image that it does not hold but can build by patches that exist.
 *
 * @param pullSizes of the targets for a site that has nothing, in bytes
 */
export function planPatches(
  sets: readonly SiteSet[],
  pullSizes: ReadonlyMap<string, number>,
  possible: readonly PossiblePatch[],
  budget: Budget,
  existing: readonly ExistingPatch[] = [],
): PatchPlan {
  const inventory = { sets, pullSizes, existing, sources: possible };
  if ('pairs' in budget)
    return withoutIdle(possible, (some) => greedy(inventory, some, budget.pairs, () => 1));
  const costOf = ({ seconds }: PossiblePatch) => Math.max(seconds, 0.1);
  const perCost = withoutIdle(possible, (some) => greedy(inventory, some, budget.seconds, costOf));
  const affordable = possible.filter((patch) => costOf(patch) <= budget.seconds);
  const whatever = withoutIdle(affordable, (some) => greedy(inventory, some, budget.seconds, costOf, true));
  return isBetter(whatever, perCost) ? whatever : perCost;
}

/** A plan, and what it was made of. */
interface Draft extends PatchPlan {
  readonly chosen: readonly PossiblePatch[];
  /** Of the chosen those that serve no site any more, since all have something better. */
  readonly idle: ReadonlySet<PossiblePatch>;
}

/**
 * What is worth much at first may serve nobody once others are there. Without that there is room for more: planned again
 * as long as it helps; in the end what serves nobody is left out.
 */
function withoutIdle(
  possible: readonly PossiblePatch[],
  plan: (possible: readonly PossiblePatch[]) => Draft,
): PatchPlan {
  let best = plan(possible);
  let rest = possible;
  for (let last = best; last.idle.size > 0;) {
    const { idle } = last;
    rest = rest.filter((patch) => !idle.has(patch));
    last = plan(rest);
    if (!isBetter(last, best)) break;
    best = last;
  }
  if (best.idle.size > 0) best = plan(best.chosen.filter((patch) => !best.idle.has(patch)));
  const { patches, seconds, bytes } = best;
  return { patches, seconds, bytes };
}

function isBetter(a: PatchPlan, b: PatchPlan): boolean {
  const less = a.bytes.withPatches - b.bytes.withPatches;
  return less < 0 || (less === 0 && a.seconds < b.seconds);
}

interface Inventory {
  readonly sets: readonly SiteSet[];
  readonly pullSizes: ReadonlyMap<string, number>;
  readonly existing: readonly ExistingPatch[];
  /** What sites can pull less for, whether a patch from it may be chosen or not. */
  readonly sources: readonly PossiblePatch[];
}

function greedy(
  { sets, pullSizes, existing, sources }: Inventory,
  possible: readonly PossiblePatch[],
  budget: number,
  costOf: (patch: PossiblePatch) => number,
  byBenefit = false,
): Draft {
  const holdersOf = findHolders(sets, existing);
  // what each set's sites move for each target now; 0 where they hold it
  const moved = new Map<string, Float64Array>();
  for (const [target, pull] of pullSizes) {
    const row = new Float64Array(sets.length).fill(pull);
    for (const { set, before } of holdersOf({ source: target })) if (before === 0) row[set] = 0;
    moved.set(target, row);
  }
  for (const patch of sources) {
    const row = moved.get(patch.target)!;
    for (const { set, before } of holdersOf(patch)) {
      if (before === 0) row[set] = Math.min(row[set]!, patch.pull);
    }
  }
  const apply = (patch: ExistingPatch) => {
    const row = moved.get(patch.target);
    for (const { set, before } of row ? holdersOf(patch) : []) {
      row![set] = Math.min(row![set]!, before + patch.size);
    }
  };
  existing.forEach(apply);
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
    for (const { set, before } of holdersOf(patch)) {
      const saved = row[set]! - before - size;
      if (saved <= 0) continue;
      saves += saved * sets[set]!.sites;
      sites += sets[set]!.sites;
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
  const chosen: PossiblePatch[] = [];
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
    apply(patch);
    chosen.push(patch);
    patches.push({ ...patch, saves, sites });
    left -= top.cost;
    seconds += patch.seconds;
  }
  const serves = (patch: PossiblePatch) => {
    const row = moved.get(patch.target)!;
    return holdersOf(patch).some(({ set, before }) => row[set] === before + patch.size);
  };
  const idle = new Set(chosen.filter((patch) => !serves(patch)));
  return { patches, seconds, bytes: { withoutPatches, withPatches: total() }, chosen, idle };
}

/** A set of sites that have an image, or can build it. */
interface Holder {
  readonly set: number;
  /** Bytes of the patches that build it; 0 where it is held. */
  readonly before: number;
}

/** Tells which sets have the source of a patch. */
function findHolders(
  sets: readonly SiteSet[],
  existing: readonly ExistingPatch[],
): (patch: Pick<PossiblePatch, 'source' | 'images'>) => readonly Holder[] {
  const held = sets.map(({ images }) => new Set(images));
  const holders = new Map<string, Map<number, number>>();
  const add = (image: string, set: number, before: number) => {
    let list = holders.get(image);
    if (!list) holders.set(image, (list = new Map<number, number>()));
    list.set(set, Math.min(before, list.get(set) ?? Infinity));
  };
  for (const [set, images] of held.entries()) for (const image of images) add(image, set, 0);
  const holdersOf = ({ source, images = [source] }: Pick<PossiblePatch, 'source' | 'images'>): Holder[] => {
    const [first, ...others] = images;
    const all = [...(holders.get(first!) ?? [])].map(([set, before]) => ({ set, before }));
    if (others.length === 0) return all;
    return all.filter(({ set }) => images.every((image) => held[set]!.has(image)));
  };
  for (let round = 0; round < MOST_BEFORE; round++) {
    const found = existing.map((patch) => ({ patch, from: holdersOf(patch) }));
    for (const { patch, from } of found) {
      for (const { set, before } of from) add(patch.target, set, before + patch.size);
    }
  }
  const lists = new Map([...holders].map(([image]) => [image, holdersOf({ source: image })]));
  return (patch) => (patch.images ? holdersOf(patch) : (lists.get(patch.source) ?? []));
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
