import { PanamaxError } from '../../lib/errors.ts';
import { failuresOf, type PairOutcome, type RunReport } from '../../lib/run/report.ts';
import { backfill } from '../../producers/backfill.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { formatShare, formatSize, formatTable } from '../format.ts';
import { createProgress } from '../progress.ts';
import { EFFORT_OPTION, parseEffort } from '../effort.ts';
import { printResult, STORE_OPTION, withContext } from '../session.ts';

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
    ...EFFORT_OPTION,
    ...STORE_OPTION,
    ...COMMON,
  },
  async run(args, signal) {
    operandCount(args, 1, Infinity, USAGE);
    const sources = args.list('sources');
    const plan = {
      targets: args.operands,
      sources: sources.length > 0 ? sources : args.operands,
      ...args.platform,
      top: args.count('top'),
      format: 'xdelta',
      effort: parseEffort(args),
      concurrency: args.count('concurrency'),
    } as const;
    const report = await withContext(args, signal, (context) => backfill(plan, context, createProgress()));
    printResult(args, report, formatReport(report));
    const failures = failuresOf(report);
    if (failures.length > 0) {
      const list = failures.map(({ what, error }) => `  ${what}: ${error.message}`).join('\n');
      throw new PanamaxError('partial', `${failures.length} failed:\n${list}`);
    }
  },
};

function formatReport(report: RunReport): string {
  const rows = report.pairs.map((pair) => [pair.target, pair.source, ...figures(pair)]);
  return formatTable([['TARGET', 'SOURCE', 'PULL', 'PATCH', 'RATIO', 'TIME', 'RESULT'], ...rows], 2);
}

function figures(pair: PairOutcome): string[] {
  if (pair.status === 'failed') return ['-', '-', '-', '-', 'failed'];
  const { sizes, patch } = pair.descriptor;
  return [
    formatSize(sizes.pull),
    formatSize(sizes.actual),
    formatShare(sizes.actual, sizes.pull),
    pair.encodeSeconds === undefined ? '-' : `${pair.encodeSeconds.toFixed(1)} s`,
    `${patch ? 'patch' : 'pull'}${pair.status === 'skipped' ? ' (kept)' : ''}`,
  ];
}
