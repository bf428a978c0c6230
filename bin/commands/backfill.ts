import { PanamaxError } from '../../lib/errors.ts';
import { failuresOf, type PairOutcome, type RunReport } from '../../lib/run/report.ts';
import { publish } from '../../producers/publish.ts';
import { expandReferences } from '../../producers/expand.ts';
import { backfill } from '../../producers/backfill.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { formatShare, formatSize, formatTable } from '../format.ts';
import { createProgress } from '../progress.ts';
import { DELTA_OPTIONS, FORCE_OPTION, TOGETHER_OPTION, parseEffort, parseFormats } from '../delta.ts';
import { REGISTRY_OPTIONS, TAG_OPTIONS, tagChoice } from '../registry.ts';
import { printResult, SIGN_OPTION, STORE_OPTION, withContext } from '../session.ts';

const USAGE = 'IMAGE... [--sources IMAGE...] [options]';

export const backfillCommand: Command = {
  summary: 'Makes patches to each IMAGE from the best of the sources.',
  usage: USAGE,
  options: {
    sources: {
      type: 'string',
      short: 's',
      multiple: true,
      value: 'IMAGE',
      help: 'the images that sites have (default: all of IMAGE...)',
    },
    top: { type: 'string', value: 'K', help: 'patches per target, from the K best sources', default: '1' },
    concurrency: { type: 'string', short: 'j', value: 'N', help: 'images or pairs at a time', default: '2' },
    publish: { type: 'boolean', help: 'put patches beside their targets in registries, too' },
    ...TAG_OPTIONS,
    ...DELTA_OPTIONS,
    ...FORCE_OPTION,
    ...TOGETHER_OPTION,
    ...STORE_OPTION,
    ...REGISTRY_OPTIONS,
    ...SIGN_OPTION,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 1, Infinity, USAGE);
    const choice = tagChoice(args, signal);
    const targets = await expandReferences(args.operands, choice);
    const sources = await expandReferences(args.list('sources'), choice);
    const plan = {
      targets,
      sources: sources.length > 0 ? sources : targets,
      ...args.platform,
      top: args.count('top'),
      formats: parseFormats(args),
      effort: parseEffort(args),
      ...(args.flag('together') && { together: true as const }),
      ...(args.flag('force') && { force: true as const }),
      concurrency: args.count('concurrency'),
    };
    const report = await withContext(args, signal, async (context) => {
      const done = await backfill(plan, context, createProgress());
      const failed = new Set(
        done.pairs.flatMap(({ status, target }) => (status === 'failed' ? [target] : [])),
      );
      for (const reference of args.flag('publish') ? targets : []) {
        if (reference.startsWith('docker://') && !failed.has(reference)) {
          await publish({ reference, ...args.platform }, context);
        }
      }
      return done;
    });
    printResult(args, report, formatReport(report));
    const failures = failuresOf(report);
    if (failures.length > 0) {
      const list = failures.map(({ what, error }) => `  ${what}: ${error.message}`).join('\n');
      throw new PanamaxError('partial', `${failures.length} failed:\n${list}`);
    }
  },
};

function formatReport(report: RunReport): string {
  const head = ['TARGET', 'SOURCE', 'FORMAT', 'PULL', 'PATCH', 'RATIO', 'TIME', 'RESULT'];
  const passedOver = report.passedOver.map(({ target, source, candidate: { predictions, pullSize } }) => {
    const predicted = Math.min(...Object.values(predictions).map(({ size }) => size));
    const sizes = [formatSize(pullSize), `~ ${formatSize(predicted)}`, formatShare(predicted, pullSize)];
    return [target, source, '-', ...sizes, '-', 'pull (not worth a patch)'];
  });
  return formatTable([head, ...report.pairs.flatMap(rowsOf), ...passedOver], 3);
}

function rowsOf(pair: PairOutcome): string[][] {
  if (pair.status === 'failed') return [[pair.target, pair.source, '-', '-', '-', '-', '-', 'failed']];
  return pair.patches.map(({ descriptor: { format, sizes, patch }, encodeSeconds }) => [
    pair.target,
    pair.source,
    format,
    formatSize(sizes.pull),
    formatSize(sizes.actual),
    formatShare(sizes.actual, sizes.pull),
    encodeSeconds === undefined ? '-' : `${encodeSeconds.toFixed(1)} s`,
    `${patch ? 'patch' : 'pull'}${encodeSeconds === undefined ? ' (kept)' : ''}`,
  ]);
}
