/** Synthetic inventories and possible patches for the benchmark of planning. */
import type { PossiblePatch, SiteSet } from '../lib/pairing/workplan.ts';

export interface MadeInventory {
  readonly sets: readonly SiteSet[];
  readonly pullSizes: ReadonlyMap<string, number>;
  readonly possible: readonly PossiblePatch[];
}

/**
 * Sites that each hold some applications in some older release, and want the newest release of each.
 *
 * @param targets number of applications, each with 10 older releases that a patch could start from
 */
export function makeInventory(
  sites: number,
  targets: number,
  random: (limit: number) => number,
  held = 5,
): MadeInventory {
  const releases = 10;
  const sets = Array.from({ length: sites }, () => ({
    images: Array.from({ length: held }, () => `${random(targets)}:${random(releases)}`),
    sites: 1 + random(3),
  }));
  const pullSizes = new Map<string, number>();
  const possible: PossiblePatch[] = [];
  for (let target = 0; target < targets; target++) {
    const pull = 10_000_000 + random(90_000_000);
    pullSizes.set(`${target}:new`, pull);
    for (let release = 0; release < releases; release++) {
      possible.push({
        source: `${target}:${release}`,
        target: `${target}:new`,
        size: Math.round(pull * (0.02 + 0.05 * (releases - release) * (0.5 + random(100) / 100))),
        seconds: 1 + random(60),
        pull: Math.round(pull * (0.5 + random(50) / 100)),
      });
    }
    // a release of another application over the same base
    possible.push({
      source: `${(target + 1) % targets}:${random(releases)}`,
      target: `${target}:new`,
      size: Math.round(pull * 0.6),
      seconds: 30,
      pull: Math.round(pull * 0.8),
    });
  }
  return { sets, pullSizes, possible };
}
