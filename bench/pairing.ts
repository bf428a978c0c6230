/** The benchmark of pairing: what the ranking chose beside what would have been best. `--help` says how. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { EXIT_CODES, PanamaxError, toPanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage, type Image } from '../lib/oci/image.ts';
import { hexOf } from '../lib/oci/descriptor.ts';
import { compareImages } from '../lib/pairing/ranking.ts';
import { createScratch } from '../lib/scratch.ts';
import { computeSignature } from '../lib/signature/compute.ts';
import type { Signature } from '../lib/signature/signature.ts';
import type { PatchFormat } from '../lib/store/layout.ts';
import { openCorpus } from './corpus.ts';
import { accuracyOf, byLayerTlsh, byName, byPrediction, byTlsh, regretOf, type KnownPair } from './regret.ts';
import { openTruth, type Truth, type TrueSize } from './truth.ts';

const HELP = `Measures how well sources are chosen and patch sizes predicted, against real patches of every pair.

Usage: npm run bench:pairing -- CORPUS [options]

CORPUS is a directory of OCI layouts, one image each. Tables are printed as Markdown.

  --truth DIR       where the sizes of real patches are kept from run to run (default: pairing-truth)
  --minutes N       encode pairs that are not there yet for so long, the nearest first (default: until all are)
  --fast-above MB   effort fast for pairs that are predicted larger; the others by default (default: 12)
  --format FORMAT   xdelta or oci-delta (default: xdelta)
  --pairs           list all pairs
  --scratch DIR     where uncompressed layers are kept meanwhile (default: TMPDIR)
`;

interface CorpusSignature {
  readonly signature: Signature;
  readonly seconds: number;
  /** Of `gzip -dc LAYERS | sha256sum`. */
  readonly gunzipSeconds: number;
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
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [directory] = positionals;
  if (values.help) return void process.stdout.write(HELP);
  if (directory === undefined) throw new PanamaxError('usage', 'no corpus directory', { expected: HELP });
  const format = values.format as PatchFormat;
  await using scratch = await createScratch(values.scratch);
  const names = (await readdir(directory, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name);
  const signatures = new Map<string, Signature>();
  print('| image | signature | gzip -dc LAYERS \\| sha256sum | ratio |', '| --- | ---: | ---: | ---: |');
  for (const name of names) {
    const { signature, seconds, gunzipSeconds } = await sign(join(directory, name), scratch.path);
    signatures.set(name, signature);
    const ratio = (seconds / gunzipSeconds).toFixed(2);
    print(`| ${name} | ${seconds.toFixed(2)} s | ${gunzipSeconds.toFixed(2)} s | ${ratio} |`);
  }
  const truth = await openTruth(values.truth, scratch.path);
  const deadline =
    values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
  const fastAbove = Number(values['fast-above']) * 1e6;
  const known: (KnownPair & { readonly effort: string })[] = [];
  const questions = nearestFirst(signatures, format);
  const corpus = await openCorpus(directory, questions, scratch.path);
  for (const { source, target, candidate } of questions) {
    const predicted = candidate.predictions[format].size;
    let found = await findTruth(truth, signatures.get(source)!, signatures.get(target)!, format);
    if (!found && performance.now() < deadline) {
      const images = { source: await corpus.image(source), target: await corpus.image(target) };
      found = await truth.encode(images, format, predicted > fastAbove ? 'fast' : 'default');
      process.stderr.write(`${source} ${target} ${found.bytes} B, predicted ${predicted} B\n`);
    }
    if (found) {
      const { bytes: actual, effort } = found;
      known.push({ source, target, predicted, actual, pull: candidate.pullSize, effort });
    }
  }
  report(known, signatures, questions.length);
  if (values.pairs) listPairs(known);
}

function report(
  known: readonly (KnownPair & { readonly effort: string })[],
  signatures: ReadonlyMap<string, Signature>,
  all: number,
): void {
  const fast = known.filter(({ effort }) => effort === 'fast').length;
  print('', `${known.length} of ${all} pairs encoded, ${fast} of them with effort fast`, '');
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
}

function listPairs(known: readonly (KnownPair & { readonly effort: string })[]): void {
  print(
    '',
    '| source | target | effort | predicted | actual | ratio | pull |',
    '| --- | --- | --- | ---: | ---: | ---: | ---: |',
  );
  for (const { source, target, effort, predicted, actual, pull } of known) {
    const ratio = (predicted / actual).toFixed(2);
    print(`| ${source} | ${target} | ${effort} | ${predicted} | ${actual} | ${ratio} | ${pull} |`);
  }
}

function nearestFirst(signatures: ReadonlyMap<string, Signature>, format: PatchFormat) {
  return [...signatures]
    .flatMap(([target, wanted]) =>
      [...signatures]
        .filter(([source]) => source !== target)
        .map(([source, had]) => ({ source, target, candidate: compareImages(wanted, had) }))
        .toSorted((a, b) => a.candidate.predictions[format].size - b.candidate.predictions[format].size)
        .map((pair, rank) => ({ ...pair, rank })),
    )
    .toSorted((a, b) => a.rank - b.rank);
}

async function findTruth(
  truth: Truth,
  { image: source }: Signature,
  { image: target }: Signature,
  format: PatchFormat,
): Promise<TrueSize | undefined> {
  return (
    (await truth.find({ source, target, format, effort: 'default' })) ??
    (await truth.find({ source, target, format, effort: 'fast' }))
  );
}

async function sign(layout: string, scratch: string): Promise<CorpusSignature> {
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  const gunzipSeconds = await gunzip(image, layout);
  const started = performance.now();
  const signature = await computeSignature(image, join(scratch, 'stream'), DEFAULT_LIMITS);
  return { signature, seconds: (performance.now() - started) / 1000, gunzipSeconds };
}

/** Run once to have the page cache hold the blobs, then measured. */
async function gunzip({ layers }: Image, layout: string): Promise<number> {
  const blobs = layers.map(({ descriptor }) => join(layout, 'blobs', 'sha256', hexOf(descriptor.digest)));
  const command = ['-c', 'gzip -dc "$@" | sha256sum', 'sh', ...blobs];
  await promisify(execFile)('sh', command);
  const started = performance.now();
  await promisify(execFile)('sh', command);
  return (performance.now() - started) / 1000;
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const { kind, message, stack } = toPanamaxError(error);
  process.stderr.write(`${kind === 'internal' ? stack : message}\n`);
  process.exitCode = EXIT_CODES[kind];
}
