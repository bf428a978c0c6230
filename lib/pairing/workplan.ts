import { createHeap } from './heap.ts';

/** A set of sites that hold the same images. */
export interface SiteSet {
  readonly images: readonly string[];
  /** Number of sites. */
  readonly sites: number;
}

/** A patch that could be made. */
export interface PossiblePatch {
  readonly source: string;
  /** The images of a combined source. A site has to hold all of them. */
  readonly images?: readonly string[];
  readonly target: string;
  /** Predicted size, in bytes. */
  readonly size: number;
  /** Predicted processor time of encoding, in seconds. */
  readonly seconds: number;
  /** Bytes that a pull moves to a site that has the source. */
  readonly pull: number;
}

/** A patch that exists already. Sites can apply it, and then apply patches from its target. */
export type ExistingPatch = Pick<PossiblePatch, 'source' | 'images' | 'target' | 'size'>;

/** Longest chain of existing patches in front of a planned one. */
const MAX_CHAIN = 2;

/** Bound on the number of patches or on the processor time to make them. */
export type Budget = { readonly pairs: number } | { readonly seconds: number };

export interface PlannedPatch extends PossiblePatch {
  /** Bytes saved over all links, given the patches planned before this one. */
  readonly saves: number;
  /** Number of sites for which this patch is the smallest so far. */
  readonly sites: number;
}

export interface WorkPlan {
  /** In the order of their value, highest first. */
  readonly patches: readonly PlannedPatch[];
  /** Predicted processor time of all patches. */
  readonly seconds: number;
  /** Bytes over all links to bring each target to each site that does not hold it. */
  readonly bytes: { readonly withoutPatches: number; readonly withPatches: number };
}

interface Choice {
  readonly patch: PossiblePatch;
  readonly cost: number;
  /** Upper bound on the bytes saved. Savings only shrink as other patches are chosen. */
  bound: number;
}

/**
 * Chooses the patches that save most bytes within a budget. A patch serves the sites that hold its source, or that can
 * build its source by existing patches. Each site takes the smallest patch or pull on offer.
 *
 * The savings of a patch only shrink as others are chosen: the total is submodular. Greedy choice is therefore within
 * 1 - 1/e of the optimum for a number of patches (Nemhauser, Wolsey, Fisher 1978), and lazy evaluation applies: only the
 * top of the queue is evaluated again (Minoux 1978). With a budget of time, costs differ. The plan is then the better of
 * two greedy plans, one by savings per cost and one by savings alone (Leskovec et al., KDD 2007).
 *
 * @param pullSizes bytes of a pull to a site without any image, by target
 */
export function planPatches(
  sets: readonly SiteSet[],
  pullSizes: ReadonlyMap<string, number>,
  possible: readonly PossiblePatch[],
  budget: Budget,
  existing: readonly ExistingPatch[] = [],
): WorkPlan {
  const inventory = { sets, pullSizes, existing, sources: possible };
  if ('pairs' in budget)
    return withoutIdlePatches(possible, (some) => greedy(inventory, some, budget.pairs, () => 1));
  const costOf = ({ seconds }: PossiblePatch) => Math.max(seconds, 0.1);
  const bySavingsPerCost = withoutIdlePatches(possible, (some) =>
    greedy(inventory, some, budget.seconds, costOf),
  );
  const affordable = possible.filter((patch) => costOf(patch) <= budget.seconds);
  const bySavings = withoutIdlePatches(affordable, (some) =>
    greedy(inventory, some, budget.seconds, costOf, true),
  );
  return isBetter(bySavings, bySavingsPerCost) ? bySavings : bySavingsPerCost;
}

/** A plan with the patches it was made of. */
interface GreedyPlan extends WorkPlan {
  readonly chosen: readonly PossiblePatch[];
  /** Chosen patches that serve no site in the end, since later choices are smaller for each. */
  readonly idle: ReadonlySet<PossiblePatch>;
}

/**
 * A patch that is chosen early may serve no site after later choices. Plans again without such patches as long as the
 * plan gets better, since their share of the budget is free then. Drops the idle patches of the best plan.
 */
function withoutIdlePatches(
  possible: readonly PossiblePatch[],
  plan: (possible: readonly PossiblePatch[]) => GreedyPlan,
): WorkPlan {
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

function isBetter(a: WorkPlan, b: WorkPlan): boolean {
  const less = a.bytes.withPatches - b.bytes.withPatches;
  return less < 0 || (less === 0 && a.seconds < b.seconds);
}

interface Inventory {
  readonly sets: readonly SiteSet[];
  readonly pullSizes: ReadonlyMap<string, number>;
  readonly existing: readonly ExistingPatch[];
  /** All possible patches. Their sources make pulls smaller even where the patch itself is not eligible. */
  readonly sources: readonly PossiblePatch[];
}

function greedy(
  { sets, pullSizes, existing, sources }: Inventory,
  possible: readonly PossiblePatch[],
  budget: number,
  costOf: (patch: PossiblePatch) => number,
  byBenefit = false,
): GreedyPlan {
  const holdersOf = findHolders(sets, existing);
  // bytes that a site of each set moves for each target with the choices so far; 0 if it holds the target
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

/** A set of sites that holds an image or can build it by existing patches. */
interface Holder {
  /** Index of the set. */
  readonly set: number;
  /** Bytes of the patches that build the image; 0 if the sites hold it. */
  readonly before: number;
}

/** Makes the function that lists the sets which have the source of a patch. */
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
  for (let round = 0; round < MAX_CHAIN; round++) {
    const found = existing.map((patch) => ({ patch, from: holdersOf(patch) }));
    for (const { patch, from } of found) {
      for (const { set, before } of from) add(patch.target, set, before + patch.size);
    }
  }
  const lists = new Map([...holders].map(([image]) => [image, holdersOf({ source: image })]));
  return (patch) => (patch.images ? holdersOf(patch) : (lists.get(patch.source) ?? []));
}
