import { DEFAULT_FORMAT, formatNames } from '../../lib/delta/formats.ts';
import type { StageContext } from '../../workers/context.ts';
import { predictionOf } from '../../lib/pairing/prediction.ts';
import { isWorthIt, type Candidate } from '../../lib/pairing/ranking.ts';
import { cheaperChains, type Chain } from '../../workers/pairing/chain.ts';
import { pairingStage } from '../../workers/pairing/stage.ts';
import { signatureStage } from '../../workers/signature/stage.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { TOGETHER_OPTION } from '../options/delta.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { printResult, STORE_OPTIONS, withContext } from '../options/session.ts';

const FORMATS = formatNames();

export const rankCommand: Command = {
  summary: 'Ranks images as sources of a patch to TARGET.',
  operands: ['TARGET'],
  options: {
    sources: {
      type: 'string',
      short: 's',
      multiple: true,
      value: 'IMAGE',
      required: true,
      help: 'images to rank',
    },
    ...TOGETHER_OPTION,
    explain: { type: 'boolean', help: 'show the parts of each predicted patch size' },
    ...STORE_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    await withContext(args, signal, (context) => rank(args, context));
  },
};

async function rank(args: Arguments, context: StageContext): Promise<void> {
  const [target] = args.operands;
  const sources = args.list('sources');
  const manifestOf = async (reference: string) =>
    (await signatureStage({ reference, ...args.platform }, context)).manifest;
  const targetManifest = await manifestOf(target!);
  const references = new Map<string, string>();
  for (const reference of sources) references.set(await manifestOf(reference), reference);
  const ranking = await pairingStage(
    {
      target: targetManifest,
      sources: [...references.keys()] as `sha256:${string}`[],
      combineSources: args.flag('together'),
    },
    context,
  );
  const chains = await cheaperChains(context.store, targetManifest, ranking.candidates, ranking.calibrations);
  const candidates = ranking.candidates.map((c) => {
    const chain = chains.get(c.source);
    const reference = (c.images ?? [c.source]).map((image) => references.get(image)!).join(' + ');
    return { reference, isWorthIt: isWorthIt(c), ...c, ...(chain && { chain }) };
  });
  const text = formatTable([HEADER, ...candidates.map((c) => rowOf(c.reference, c))], 1);
  const there = references.get(targetManifest);
  const answer = answersOf(there, candidates);
  const cheaper = candidates.flatMap(({ chain, ...c }) =>
    chain ? [`\n${chained(c, chain, (image) => references.get(image) ?? image)}`] : [],
  );
  const reasons = args.flag('explain') ? candidates.map((c) => `\n${c.reference}\n${explanation(c)}`) : [];
  printResult(
    args,
    { target: targetManifest, isThere: there !== undefined, candidates },
    [...(candidates.length > 0 ? [text] : []), ...answer, ...cheaper, ...reasons].join('\n'),
  );
}

/** @param there the source that has the same manifest as the target */
function answersOf(
  there: string | undefined,
  candidates: readonly { readonly isWorthIt: boolean }[],
): string[] {
  const answers =
    there === undefined ? [] : [`${there} is the target itself: sites that have it need nothing.`];
  if (candidates.length > 0 && !candidates.some((c) => c.isWorthIt)) {
    answers.push('No source is worth a patch: pull.');
  }
  return answers;
}

const HEADER = [
  'SOURCE',
  'IDENTICAL',
  'CHANGED',
  'NEW',
  ...FORMATS.map((name) => name.toUpperCase()),
  'PULL',
  'TLSH',
];

function rowOf(reference: string, candidate: Candidate): string[] {
  const { identicalBytes, changedBytes, newBytes, predictions, pullSize, tlshDistance } = candidate;
  const sizes = [
    identicalBytes,
    changedBytes,
    newBytes,
    ...FORMATS.map((f) => predictionOf(predictions, f).size),
    pullSize,
  ];
  return [reference, ...sizes.map(formatSize), tlshDistance === null ? '-' : String(tlshDistance)];
}

/** Compares a chain through existing patches with a direct patch from the source. */
function chained(
  { reference, predictions }: Candidate & { readonly reference: string },
  { through, size, seconds }: Chain,
  nameOf: (image: string) => string,
): string {
  const names = through.map(nameOf);
  const making = seconds > 0 ? `${seconds.toFixed(1)} s for a patch to ${names[0]!}` : 'no patch to make';
  const direct = predictionOf(predictions, DEFAULT_FORMAT.name);
  return (
    `${reference}: cheaper by existing patches through ${names.join(' and ')}: ${formatSize(size)} in total, ` +
    `${making}; a direct patch: ${formatSize(direct.size)}, ${direct.seconds.toFixed(1)} s`
  );
}

/** The parts of each predicted patch size. */
function explanation({ predictions, sharedLayerBytes, pullSize }: Candidate): string {
  const rows = FORMATS.map((format) => {
    const { size, reasons, seconds } = predictionOf(predictions, format);
    const parts = [reasons.fixed, reasons.changed, reasons.new, size].map(formatSize);
    return [`  ${format}`, ...parts, `${seconds.toFixed(1)} s`];
  });
  const table = formatTable([['  FORMAT', 'HEADERS', 'CHANGED', 'NEW', 'PATCH', 'CPU'], ...rows], 1);
  return `${table}\n  a pull: ${formatSize(pullSize)}; layers in common: ${formatSize(sharedLayerBytes)}`;
}
