import type { FormatName } from '../lib/delta/format.ts';

/** Benchmark of pairing: the sources chosen by a ranking, compared with the best ones. See `--help`. */
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import { sizeAtDefault } from '../lib/pairing/calibration.ts';
import { formatNamed } from '../lib/delta/formats.ts';
import { predictionOf } from '../lib/pairing/prediction.ts';
import { compareImages, evidenceOf, type Candidate } from '../lib/pairing/ranking.ts';
import { createScratch } from '../lib/runtime/scratch.ts';
import { profileOf } from '../lib/pairing/signature/profile.ts';
import type { Signature } from '../lib/pairing/signature/signature.ts';
import { asTarget, type Target } from '../lib/pairing/target.ts';
import { runCommand } from './command.ts';
import { openCorpus, type Pair } from './corpus.ts';
import { fitCosts, leaveOneOut, repredicted, type FitPair } from './fit.ts';
import {
  accuracyOf,
  byLayerTlsh,
  byName,
  byPrediction,
  byTlsh,
  regretOf,
  repository,
  timeRatioOf,
  type KnownPair,
} from './regret.ts';
import { signImage, type SignedImage } from './signing.ts';
import { openTruth, type Truth, type TrueSize } from './truth.ts';

const HELP = `Measures how well sources are chosen and patch sizes predicted, against real patches of every pair.

Usage: npm run bench:pairing -- CORPUS [options]

CORPUS is a directory of OCI layouts, one image each. Tables are printed as Markdown. Every patch is applied,
and counts only if that rebuilds the target.

  --truth DIR       directory that keeps the sizes of real patches (default: pairing-truth); use a new one for
                    another version of the encoder
  --minutes N       limit of the time to encode missing pairs, the nearest first (default: none)
  --fast-above MB   use effort fast for pairs with larger predictions, else default (default: 12)
  --format FORMAT   xdelta or oci-delta (default: xdelta)
  --pairs           list all pairs
  --fit             fit the costs to these pairs and print them, and evaluate for each family of images the costs
                    that are fitted to the others
  --scratch DIR     where uncompressed layers are kept meanwhile (default: TMPDIR)
`;

/** A pair of the corpus with its prediction. */
interface PredictedPair extends Pair {
  readonly candidate: Candidate;
}

async function main(argv: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      truth: { ...text, default: 'pairing-truth' },
      minutes: text,
      'fast-above': { ...text, default: '12' },
      format: { ...text, default: 'xdelta' },
      scratch: { ...text, default: tmpdir() },
      pairs: { type: 'boolean' },
      fit: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [directory] = positionals;
  if (values.help) return void process.stdout.write(HELP);
  if (directory === undefined) throw new PanamaxError('usage', 'no corpus directory', { expected: HELP });
  const format: FormatName = values.format;
  await using scratch = await createScratch(values.scratch);
  const signatures = await signCorpus(directory, scratch.path);
  const truth = await openTruth(values.truth, scratch.path);
  const deadline =
    values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
  const fastAbove = Number(values['fast-above']) * 1e6;
  const known: KnownPair[] = [];
  const failures: string[] = [];
  const pairs = nearestFirst(signatures, format);
  const corpus = await openCorpus(directory, pairs, scratch.path);
  for (const { source, target, candidate } of pairs) {
    const { size: predicted, seconds: predictedSeconds } = predictionOf(candidate.predictions, format);
    let found = await findTruth(truth, signatures.get(source)!, signatures.get(target)!, format);
    if (!found && performance.now() < deadline) {
      const images = { source: await corpus.image(source), target: await corpus.image(target) };
      try {
        found = await truth.encode(images, format, predicted > fastAbove ? 'fast' : 'default');
      } catch (error) {
        failures.push(`${source} to ${target}: ${toPanamaxError(error).message}`);
        continue;
      }
      const { effort, bytes, cpuSeconds } = found;
      process.stderr.write(
        `${source} ${target} ${effort} ${bytes} B, predicted ${predicted} B, ${cpuSeconds.toFixed(1)} s\n`,
      );
    }
    if (!found) continue;
    const { bytes, effort, cpuSeconds: seconds } = found;
    const actual = sizeAtDefault(bytes, format, effort);
    const pull = candidate.pullSize;
    known.push({ source, target, predicted, predictedSeconds, actual, effort, seconds, pull });
  }
  report(known, signatures, pairs.length);
  if (values.pairs) listPairs(known);
  if (values.fit) fit(known, signatures, format);
  if (failures.length > 0) throw new PanamaxError('partial', `no patch:\n${failures.join('\n')}`);
}

async function signCorpus(directory: string, scratch: string): Promise<Map<string, Signature>> {
  const names = (await readdir(directory, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name);
  const signatures = new Map<string, Signature>();
  const all: SignedImage[] = [];
  print(
    '| image | gzip -dc LAYERS \\| sha256sum | signature | ratio | encoders found | ratio | stored |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
  );
  for (const name of names) {
    const signed = await signImage(join(directory, name), scratch);
    signatures.set(name, signed.signature);
    all.push(signed);
    printTimes(name, [signed]);
  }
  printTimes('all', all);
  return signatures;
}

function printTimes(name: string, images: readonly SignedImage[]): void {
  const total = (key: 'seconds' | 'findingSeconds' | 'gunzipSeconds' | 'storedSize') =>
    images.reduce((sum, image) => sum + image[key], 0);
  const least = total('gunzipSeconds');
  const beside = (seconds: number) => `${seconds.toFixed(2)} s | ${(seconds / least).toFixed(2)}`;
  const times = `${least.toFixed(2)} s | ${beside(total('seconds'))} | ${beside(total('findingSeconds'))}`;
  print(`| ${name} | ${times} | ${(total('storedSize') / 1e6).toFixed(2)} MB |`);
}

function report(known: readonly KnownPair[], signatures: ReadonlyMap<string, Signature>, all: number): void {
  const fast = known.filter(({ effort }) => effort === 'fast').length;
  print(
    '',
    `${known.length} of ${all} pairs encoded, ${fast} of them with effort fast, whose sizes are converted to ` +
      'effort default; each patch rebuilt its target',
    '',
  );
  print(
    '| chosen by | regret, mean | worst | best among first three | targets |',
    '| --- | ---: | ---: | ---: | ---: |',
  );
  const choosers = [
    ['predicted size', byPrediction(known)],
    ['TLSH distance', byTlsh(signatures)],
    ['TLSH distance of the layers', byLayerTlsh(signatures)],
    ['newest image of the same name', byName(signatures)],
  ] as const;
  for (const [name, chooser] of choosers) {
    const { mean, worst, worstTarget, inFirstThree, targets } = regretOf(known, chooser);
    const share = `${(inFirstThree * 100).toFixed(0)} %`;
    print(`| ${name} | ${mean.toFixed(3)} | ${worst.toFixed(3)} (${worstTarget}) | ${share} | ${targets} |`);
  }
  const { share, pairs } = accuracyOf(known);
  print('', `predicted within 25 %: ${(share * 100).toFixed(1)} % of ${pairs} pairs that are worth a patch`);
  const { median, within } = timeRatioOf(known);
  print(
    `processor time: predicted over actual ${median.toFixed(2)} in the median, ` +
      `within a factor of 2 for ${(within * 100).toFixed(0)} % of the pairs with effort default`,
  );
}

function listPairs(known: readonly KnownPair[]): void {
  print(
    '',
    '| source | target | effort | predicted | actual | ratio | pull | predicted s | actual s |',
    '| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
  );
  for (const { source, target, effort, predicted, actual, pull, predictedSeconds, seconds } of known) {
    const ratio = (predicted / actual).toFixed(2);
    const times = `${predictedSeconds} | ${seconds.toFixed(1)}`;
    print(`| ${source} | ${target} | ${effort} | ${predicted} | ${actual} | ${ratio} | ${pull} | ${times} |`);
  }
}

function fit(known: readonly KnownPair[], signatures: ReadonlyMap<string, Signature>, format: FormatName) {
  const targets = targetsOf(signatures);
  const pairs = known.map((pair): FitPair => {
    const wanted = targets.get(pair.target)!;
    const { compared, sizes } = evidenceOf(wanted, [targets.get(pair.source)!]);
    return { ...pair, wanted, comparison: compared, sizes };
  });
  const costs = fitCosts(pairs, formatNamed(format).costs);
  print(
    '',
    JSON.stringify(costs, (_, value: unknown) => (typeof value === 'number' ? rounded(value) : value), 2),
  );
  report(repredicted(pairs, costs), signatures, pairs.length);
  print(
    '',
    '| family left out | predicted within 25 % | pairs | of its own images | pairs |',
    '| --- | ---: | ---: | ---: | ---: |',
  );
  for (const { family, all, own } of leaveOneOut(pairs, repository)) {
    const cells = [all, own].map(({ share, pairs: count }) => `${(share * 100).toFixed(0)} % | ${count}`);
    print(`| ${family} | ${cells.join(' | ')} |`);
  }
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function nearestFirst(signatures: ReadonlyMap<string, Signature>, format: FormatName): PredictedPair[] {
  const predictedSize = ({ candidate }: Pick<PredictedPair, 'candidate'>) =>
    predictionOf(candidate.predictions, format).size;
  const targets = [...targetsOf(signatures)];
  return targets
    .flatMap(([target, wanted]) =>
      targets
        .filter(([source]) => source !== target)
        .map(([source, had]) => ({ source, target, candidate: compareImages(wanted, had) }))
        .toSorted((a, b) => predictedSize(a) - predictedSize(b))
        .map((pair, rank) => ({ ...pair, rank })),
    )
    .toSorted((a, b) => a.rank - b.rank);
}

function targetsOf(signatures: ReadonlyMap<string, Signature>): Map<string, Target> {
  return new Map([...signatures].map(([name, signature]) => [name, asTarget(profileOf(signature))]));
}

async function findTruth(
  truth: Truth,
  { image: source }: Signature,
  { image: target }: Signature,
  format: FormatName,
): Promise<TrueSize | undefined> {
  return (
    (await truth.find({ source, target, format, effort: 'default' })) ??
    (await truth.find({ source, target, format, effort: 'fast' }))
  );
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

await runCommand(main);
