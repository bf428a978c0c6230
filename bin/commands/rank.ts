import { PanamaxError } from '../../lib/errors.ts';
import type { StageContext } from '../../lib/run/context.ts';
import { pairingStage } from '../../workers/pairing.ts';
import { signatureStage } from '../../workers/signature.ts';
import { COMMON, operandCount, type Arguments, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { printResult, STORE_OPTION, withContext } from '../session.ts';

const USAGE = 'TARGET --sources IMAGE... [options]';

export const rankCommand: Command = {
  summary: 'Ranks images as sources of a patch to TARGET.',
  usage: USAGE,
  options: {
    sources: { type: 'string', short: 's', multiple: true, value: 'IMAGE', help: 'the candidates' },
    ...STORE_OPTION,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 1, 1, USAGE);
    await withContext(args, signal, (context) => rank(args, context));
  },
};

async function rank(args: Arguments, context: StageContext): Promise<void> {
  const [target] = args.operands;
  const sources = args.list('sources');
  if (sources.length === 0) throw new PanamaxError('usage', 'no sources', { expected: USAGE });
  const manifestOf = async (reference: string) =>
    (await signatureStage({ reference, ...args.platform }, context)).manifest;
  const targetManifest = await manifestOf(target!);
  const references = new Map<string, string>();
  for (const reference of sources) references.set(await manifestOf(reference), reference);
  const ranking = await pairingStage(
    { target: targetManifest, sources: [...references.keys()] as `sha256:${string}`[] },
    context,
  );
  const candidates = ranking.candidates.map((c) => ({ reference: references.get(c.source)!, ...c }));
  const rows = candidates.map((c) => [
    c.reference,
    c.tlshDistance === null ? '-' : String(c.tlshDistance),
    formatSize(c.identicalBytes),
    formatSize(c.changedBytes),
    formatSize(c.newBytes),
    formatSize(c.predictedPatchSize),
    formatSize(c.pullSize),
  ]);
  printResult(
    args,
    { target: targetManifest, candidates },
    formatTable([['SOURCE', 'TLSH', 'IDENTICAL', 'CHANGED', 'NEW', 'PREDICTED', 'PULL'], ...rows], 1),
  );
}
