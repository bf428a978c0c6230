/**
 * Fuzzes decoders: `npm run fuzz -- [TARGET...] [--seconds N] [--seed N]`, or runs a find again: `npm run fuzz -- TARGET
 * --input FILE`. Without a target, all run in turn. A find is written to `fuzz-finds/`, and the exit code is 1.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { superviseFuzzing } from './supervisor.ts';
import { fuzzTargets } from './targets.ts';

const FINDS = 'fuzz-finds';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    input: { type: 'string' },
  },
});
const unknown = positionals.filter((name) => !fuzzTargets().includes(name));
if (unknown.length > 0) {
  console.error(`unknown target ${unknown.join(', ')}: expected ${fuzzTargets().join(', ')}`);
  process.exit(2);
}

for (const target of positionals.length > 0 ? positionals : fuzzTargets()) {
  const seconds = Number(values.seconds);
  const seed = Number(values.seed);
  const input = values.input === undefined ? undefined : readFileSync(values.input);
  const result = await superviseFuzzing({ target, seconds, seed, ...(input && { input }) });
  const { executions, refused, corpus, functions, find } = result;
  console.log(
    `${target}: ${executions} executions, ${refused} refused, corpus of ${corpus}, ${functions} functions, seed ${seed}`,
  );
  if (!find) continue;
  process.exitCode = 1;
  console.log(find.reason);
  if (input) continue;
  mkdirSync(FINDS, { recursive: true });
  const path = join(FINDS, `${target}-${seed}-${readdirSync(FINDS).length}`);
  writeFileSync(path, find.input);
  console.log(`run it again: npm run fuzz -- ${target} --input ${path}`);
}
