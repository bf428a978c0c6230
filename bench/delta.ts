/** Benchmark of the delta engine: panamax and its peers on each pair in one run. See `--help`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Effort } from '../lib/delta/align/alignment.ts';
import { PanamaxError } from '../lib/errors.ts';
import { replaceFile } from '../lib/runtime/file.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { runCommand } from './command.ts';
import { rehearse, runPair } from './contest.ts';
import type { Contestant } from './contestant.ts';
import { DEFAULT_PAIRS, openCorpus, parsePairs } from './corpus.ts';
import { findProgram } from '../test/support/programs.ts';
import { createMeasure } from './measure.ts';
import { EFFORTS, FORMATS, panamax, panamaxTool, wholeCommand, WHOLE_COMMAND } from './panamax.ts';
import { PEERS } from './peers.ts';
import { drawPlot } from './plot.ts';
import { writeReport } from './report.ts';
import { thisMachine, type Results } from './results.ts';

const TOOLS = [...PEERS.map(({ tool }) => tool), ...FORMATS.map(panamaxTool), WHOLE_COMMAND];

const HELP = `Measures panamax and other delta programs on pairs of images.

Usage: npm run bench:delta -- CORPUS [options]

CORPUS is a directory of OCI layouts, one image each. Tables are printed as Markdown.

  --pairs SOURCE:TARGET,…  names in CORPUS (default: the ten pairs that goals are set for)
  --tools TOOL,…           of ${TOOLS.join(', ')} (default: all that are installed)
                           ${WHOLE_COMMAND} is the whole command on images; the others run on unpacked layers
  --efforts LEVEL,…        of ${EFFORTS.join(', ')} (default: all)
  --out DIR                directory for delta.json and delta.svg (default: the working directory)
  --scratch DIR            directory for uncompressed layers (default: TMPDIR)
`;

async function main(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const { values, positionals } = parse(argv);
  if (values.help) return void process.stdout.write(HELP);
  const [directory, ...rest] = positionals;
  if (directory === undefined || rest.length > 0) {
    throw new PanamaxError('usage', 'wrong number of operands', {
      expected: 'one corpus directory',
      found: positionals.length,
    });
  }
  const pairs = values.pairs === undefined ? DEFAULT_PAIRS : parsePairs(values.pairs);
  const tools = parseChoices('--tools', values.tools, TOOLS);
  const efforts = parseChoices<Effort>('--efforts', values.efforts, EFFORTS);
  const wanted = contestants(efforts).filter(({ tool }) => tools.includes(tool));
  const installed = wanted.filter(({ program }) => findProgram(program) !== undefined);
  const absent = [...new Set(wanted.filter((c) => !installed.includes(c)).map(({ program }) => program))];

  await mkdir(values.out, { recursive: true });
  await using scratch = await createScratch(values.scratch);
  const corpus = await openCorpus(directory, pairs, scratch.path);
  const env = { NODE_COMPILE_CACHE: join(scratch.path, 'compiled') };
  const contest = {
    contestants: installed,
    measure: createMeasure(join(scratch.path, 'usage'), env),
    scratch: scratch.path,
    signal,
    report: (line: string) => void process.stderr.write(`${line}\n`),
  };
  const results: Results = { started: new Date().toISOString(), machine: thisMachine(), absent, pairs: [] };
  for (const program of absent) contest.report(`${program} is not installed`);
  for (const pair of pairs) {
    const images = { source: await corpus.image(pair.source), target: await corpus.image(pair.target) };
    if (results.pairs.length === 0) await rehearse(contest, images);
    results.pairs.push(await runPair(contest, pair, images));
    await save(results, values.out);
  }
  process.stdout.write(writeReport(results));
}

/** Writes the results after every pair, so that a stopped run keeps those it has. */
async function save(results: Results, out: string): Promise<void> {
  const files = { 'delta.json': `${JSON.stringify(results, null, 2)}\n`, 'delta.svg': drawPlot(results) };
  for (const [name, text] of Object.entries(files)) {
    await replaceFile(join(out, name), (part) => writeFile(part, text));
  }
}

/** All contestants, in the order of the tables. */
function contestants(efforts: readonly Effort[]): Contestant[] {
  return [
    ...PEERS,
    ...FORMATS.flatMap((format) => efforts.map((effort) => panamax(format, effort))),
    wholeCommand,
  ];
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        pairs: text,
        tools: text,
        efforts: text,
        out: { ...text, default: '.' },
        scratch: { ...text, default: tmpdir() },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new PanamaxError('usage', (error as Error).message);
  }
}

function parseChoices<Choice extends string>(
  option: string,
  text: string | undefined,
  choices: readonly Choice[],
): readonly Choice[] {
  if (text === undefined) return choices;
  return text.split(',').map((item) => {
    const choice = choices.find((one) => one === item);
    if (choice !== undefined) return choice;
    throw new PanamaxError('usage', option, { expected: choices.join(', '), found: item });
  });
}

const stop = new AbortController();
for (const event of ['SIGINT', 'SIGTERM'] as const) process.once(event, () => stop.abort());
await runCommand((argv) => main(argv, stop.signal));
