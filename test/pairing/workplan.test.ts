/** Work plans: nearly optimal within the budget, and fast for many sites. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeInventory, type MadeInventory } from '../../bench/plan.ts';
import { planPatches, type Budget, type PossiblePatch } from '../../lib/pairing/workplan.ts';
import { createRandom } from '../support/random.ts';

function numbers(seed: number): (limit: number) => number {
  const random = createRandom(seed);
  return (limit) => random.below(limit);
}

const patch = (source: string, target: string, size: number) => ({
  source,
  target,
  size,
  seconds: 1,
  pull: 100,
});

/** The fewest bytes over all links, by trying every choice within the budget. */
function exhaustive({ sets, pullSizes, possible }: MadeInventory, budget: Budget): number {
  const bytesOf = (chosen: readonly PossiblePatch[]) => {
    let sum = 0;
    for (const { images, sites } of sets) {
      for (const [target, pull] of pullSizes) {
        if (images.includes(target)) continue;
        const pulls = possible.filter((one) => one.target === target && images.includes(one.source));
        const patches = chosen.filter((one) => one.target === target && images.includes(one.source));
        sum += sites * Math.min(pull, ...pulls.map((one) => one.pull), ...patches.map(({ size }) => size));
      }
    }
    return sum;
  };
  let best = Infinity;
  const useful = possible.filter(({ source }) => sets.some(({ images }) => images.includes(source)));
  for (let choice = 0; choice < 2 ** useful.length; choice++) {
    const chosen = useful.filter((_, i) => (choice >> i) & 1);
    const spent = 'pairs' in budget ? chosen.length : chosen.reduce((sum, { seconds }) => sum + seconds, 0);
    if (spent <= ('pairs' in budget ? budget.pairs : budget.seconds)) best = Math.min(best, bytesOf(chosen));
  }
  return best;
}

test('plans within 10 % of the optimal choice', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const made = makeInventory(4, 2, numbers(seed), 3);
    for (const budget of [{ pairs: 1 }, { pairs: 3 }, { seconds: 60 }, { seconds: 150 }]) {
      const plan = planPatches(made.sets, made.pullSizes, made.possible, budget);
      const best = exhaustive(made, budget);
      assert.ok(
        plan.bytes.withPatches <= best * 1.1,
        `seed ${seed}: ${plan.bytes.withPatches}, best ${best}`,
      );
      assert.ok(plan.bytes.withPatches >= best - 1);
      const saved = plan.patches.reduce((sum, { saves }) => sum + saves, 0);
      assert.ok(Math.abs(plan.bytes.withoutPatches - plan.bytes.withPatches - saved) < 1);
      if ('pairs' in budget) assert.ok(plan.patches.length <= budget.pairs);
      else assert.ok(plan.seconds <= budget.seconds);
    }
  }
});

test('plans the most valuable patches first and none without value', () => {
  const sets = [
    { images: ['a1'], sites: 100 },
    { images: ['a2', 'b1'], sites: 1 },
    { images: ['a3'], sites: 1000 },
  ];
  const possible = [
    patch('a2', 'a3', 10),
    patch('a1', 'a3', 20),
    patch('b1', 'a3', 90),
    patch('gone', 'a3', 1),
    patch('b1', 'b2', 100),
  ];
  const pullSizes = new Map([
    ['a3', 100],
    ['b2', 100],
  ]);
  const { patches, bytes } = planPatches(sets, pullSizes, possible, { pairs: 10 });
  assert.deepEqual(
    patches.map(({ source, saves, sites }) => [source, saves, sites]),
    [
      ['a1', 8000, 100],
      ['a2', 90, 1],
    ],
  );
  // the third set holds a3
  assert.deepEqual(bytes, { withoutPatches: 10_100 + 110_100, withPatches: 2010 + 110_100 });
});

test('replaces a chosen patch that later choices make useless', () => {
  const sets = [
    { images: ['x', 'a'], sites: 1 },
    { images: ['x', 'b'], sites: 1 },
  ];
  const pullSizes = new Map([
    ['t', 100],
    ['u', 100],
  ]);
  // has the highest value at first, and none after the next two
  const possible = [patch('x', 't', 50), patch('a', 't', 10), patch('b', 't', 10), patch('a', 'u', 70)];
  const { patches, bytes } = planPatches(sets, pullSizes, possible, { pairs: 3 });
  assert.deepEqual(
    patches.map(({ source, target, saves }) => [source, target, saves]),
    [
      ['a', 't', 90],
      ['b', 't', 90],
      ['a', 'u', 30],
    ],
  );
  assert.equal(bytes.withPatches, 10 + 10 + 70 + 100);
  // no other patch fits, so the rest of the budget stays unused
  const few = planPatches(sets, new Map([['t', 100]]), possible.slice(0, 3), { seconds: 3 });
  assert.deepEqual(
    few.patches.map(({ source }) => source),
    ['a', 'b'],
  );
  assert.equal(few.seconds, 2);
});

test('counts the smaller pull from the source of an unaffordable patch', () => {
  const sets = [
    { images: ['small'], sites: 1 },
    { images: ['large'], sites: 100 },
    { images: ['near'], sites: 1000 },
  ];
  const possible = [
    { ...patch('small', 't', 1), seconds: 0.1 },
    { ...patch('large', 't', 1), seconds: 10 },
    { ...patch('near', 't', 0.5), seconds: 1000, pull: 1 },
  ];
  // the patch with the best value per cost leaves too little budget for one of a hundred times its value
  const { patches, bytes } = planPatches(sets, new Map([['t', 100]]), possible, { seconds: 10 });
  assert.deepEqual(
    patches.map(({ source, saves }) => [source, saves]),
    [['large', 9900]],
  );
  assert.deepEqual(bytes, { withoutPatches: 100 + 10_000 + 1000, withPatches: 100 + 100 + 1000 });
});

test('uses existing patches, also as steps of chains', () => {
  const sets = [
    { images: ['r1'], sites: 100 },
    { images: ['r2'], sites: 10 },
    { images: ['a', 'b'], sites: 1 },
  ];
  const pullSizes = new Map([['r3', 100]]);
  const possible = [
    patch('r1', 'r3', 20),
    patch('r2', 'r3', 15),
    { ...patch('a+b', 'r3', 30), images: ['a', 'b'] },
  ];
  const existing = [{ source: 'r1', target: 'r2', size: 6 }];
  const plan = planPatches(sets, pullSizes, possible, { pairs: 1 }, existing);
  // 100 sites take two steps, 21 in all, instead of one of 20, and ten sites take one
  assert.deepEqual(
    plan.patches.map(({ source, saves, sites }) => [source, saves, sites]),
    [['r2', 79 * 100 + 85 * 10, 110]],
  );
  const all = planPatches(sets, pullSizes, possible, { pairs: 3 }, existing);
  assert.deepEqual(
    all.patches.map(({ source, saves, sites }) => [source, saves, sites]),
    [
      ['r2', 8750, 110],
      ['r1', 100, 100],
      ['a+b', 70, 1],
    ],
  );
  const made = [...existing, { source: 'r2', target: 'r3', size: 15 }];
  const rest = planPatches(sets, pullSizes, possible, { pairs: 3 }, made);
  assert.deepEqual(
    rest.patches.map(({ source }) => source),
    ['r1', 'a+b'],
  );
  assert.equal(rest.bytes.withoutPatches, 21 * 100 + 15 * 10 + 100);
});

test('plans a thousand targets for ten thousand sites', () => {
  const { sets, pullSizes, possible } = makeInventory(10_000, 1000, numbers(1));
  const plan = planPatches(sets, pullSizes, possible, { pairs: 2000 });
  assert.equal(plan.patches.length, 2000);
  assert.ok(plan.bytes.withPatches < plan.bytes.withoutPatches);
});
