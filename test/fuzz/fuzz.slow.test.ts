/** A short run of each fuzz target with a fixed seed. Longer runs: `npm run fuzz`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { superviseFuzzing } from './supervisor.ts';
import { fuzzTargets } from './targets.ts';

for (const target of fuzzTargets()) {
  test(`the decoder ${target} reads or refuses damaged input`, async (t) => {
    const { executions, refused, find } = await superviseFuzzing({ target, seconds: 1, seed: 1 });
    t.diagnostic(`${executions} executions, ${refused} refused`);
    assert.ok(!find, find && `${find.reason}\n${Buffer.from(find.input).toString('base64')}`);
    assert.ok(refused > 0);
  });
}
