import { PanamaxError } from '../../lib/errors.ts';
import { failuresOf, sumBytes, type PairOutcome, type RunReport } from '../../lib/run/report.ts';
import { publish } from '../../workers/publish/publish.ts';
import { backfill } from '../../producers/backfill.ts';
import { spelledOut } from '../../producers/question/references.ts';
import { COMMON, type Arguments, type Command } from '../command.ts';
import { formatShare, formatSize, formatTable } from '../format.ts';
import { NOTIFY_OPTIONS, openNotifier } from '../options/notify.ts';
import { RUN_OPTIONS, parseRunRequest } from '../options/run.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import { NOT_MADE } from '../report/data.ts';
import { createProgress, progressMode, PROGRESS_OPTIONS } from '../progress.ts';
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
    ...NOTIFY_OPTIONS,
    ...PROGRESS_OPTIONS,
    ...STORE_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...SIGN_OPTIONS,
    ...COMMON,
  },
  async run(args, signal) {
    const mode = progressMode(args);
    const request = await parseRunRequest(args, signal, spelledOut);
    const plan = { ...request, concurrency: args.count('concurrency') };
    const report = await withContext(args, signal, async (context) => {
      await using notifier = await openNotifier(args, context.store.name, context.log);
      const notifying = { ...context, ...(notifier && { notify: notifier.notify }) };
      const done = await backfill(plan, notifying, createProgress(mode));
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
    if (mode !== 'quiet' && mode !== 'json') process.stderr.write(`${formatTotals(args, report)}\n`);
    const failures = failuresOf(report);
    if (failures.length > 0) {
      const list = failures.map(({ what, error }) => `  ${what}: ${error.message}`).join('\n');
      throw new PanamaxError('partial', `${failures.length} failed:\n${list}`);
    }
  },
};

/** For a reader that looks further: the savings, the run's name, and the command for its page. */
function formatTotals(args: Arguments, { id, pairs }: RunReport): string {
  const { pull, saved } = sumBytes(pairs.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches)));
  const store = args.text('store')!;
  return (
    `run ${id}: ${formatSize(saved)} saved of ${formatSize(pull)} (${formatShare(saved, pull)}); ` +
    `panamax report ${id} --store ${store} -o report.html`
  );
}

function formatReport(report: RunReport): string {
  const head = ['TARGET', 'SOURCE', 'FORMAT', 'PULL', 'PATCH', 'RATIO', 'TIME', 'RESULT'];
  const passedOver = report.passedOver.map(
    ({ target, source, candidate: { predictions, pullSize }, reason = 'pull' }) => {
      const predicted = Math.min(...Object.values(predictions).map(({ size }) => size));
      const sizes = [formatSize(pullSize), `~ ${formatSize(predicted)}`, formatShare(predicted, pullSize)];
      return [
        target,
        source,
        '-',
        ...sizes,
        '-',
        `${reason === 'pull' ? 'pull' : 'none'} (${NOT_MADE[reason]})`,
      ];
    },
  );
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
