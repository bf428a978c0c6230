/** `npm run bench:plan [-- SITES TARGETS]`: the time of planning, over synthetic inventories. */
import { planPatches, type Budget } from '../lib/pairing/workplan.ts';
import { createGenerator } from './catalogue.ts';
import { makeInventory } from './plan.ts';

const [sites = 10_000, targets = 1000] = process.argv.slice(2).map(Number);

const BUDGETS: readonly (readonly [string, Budget])[] = [
  ['100 pairs', { pairs: 100 }],
  ['2,000 pairs', { pairs: 2000 }],
  ['2 h of processor time', { seconds: 7200 }],
];

const random = createGenerator(1);
const { sets, pullSizes, possible } = makeInventory(sites, targets, (limit) => random() % limit);
process.stdout.write(
  `${targets} targets, ${sets.length} sets of images, ${possible.length} possible patches\n\n`,
);
process.stdout.write('| budget | patches | saved over all links | time |\n| --- | ---: | ---: | ---: |\n');
for (const [name, budget] of BUDGETS) {
  const started = performance.now();
  const { patches, bytes } = planPatches(sets, pullSizes, possible, budget);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const saved = `${((bytes.withoutPatches - bytes.withPatches) / 1e9).toFixed(0)} GB`;
  process.stdout.write(`| ${name} | ${patches.length} | ${saved} | ${seconds} s |\n`);
}
