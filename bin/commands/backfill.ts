import { PanamaxError } from '../../lib/errors.ts';
import { failuresOf, type PairOutcome, type RunReport } from '../../lib/run/report.ts';
import { publish } from '../../workers/publish/publish.ts';
import { backfill } from '../../producers/backfill.ts';
import { spelledOut } from '../../producers/question/references.ts';
import { COMMON, type Command } from '../command.ts';
import { formatShare, formatSize, formatTable } from '../format.ts';
import { RUN_OPTIONS, parseRunRequest } from '../options/run.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { createProgress } from '../progress.ts';
import { printResult, SIGN_OPTIONS, STORE_OPTIONS, withContext } from '../options/session.ts';

export const backfillCommand: Command = {
  summary: 'Makes patches to each IMAGE from its best sources.',
  operands: ['[IMAGE...]'],
  options: {
    ...RUN_OPTIONS,
    concurrency: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'number of images or pairs at a time',
      default: '2',
      env: true,
    },
    publish: { type: 'boolean', help: 'publish patches beside their targets in registries as well' },
    ...STORE_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...SIGN_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    const request = await parseRunRequest(args, signal, spelledOut);
    const plan = { ...request, concurrency: args.count('concurrency') };
    const report = await withContext(args, signal, async (context) => {
      const done = await backfill(plan, context, createProgress());
      const failed = new Set(
        done.pairs.flatMap(({ status, target }) => (status === 'failed' ? [target] : [])),
      );
      for (const reference of args.flag('publish') ? plan.targets : []) {
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
