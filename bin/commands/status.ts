import { setTimeout as sleep } from 'node:timers/promises';
import { PanamaxError } from '../../lib/errors.ts';
import { createPollInterval } from '../../lib/run/pollinterval.ts';
import { checkRunId } from '../../lib/run/request.ts';
import { findRunState, listRuns, type RunState } from '../../lib/run/runs.ts';
import type { RunSummary } from '../../lib/run/report.ts';
import { createStatusReader } from '../../lib/run/status.ts';
import { findSummary } from '../../lib/run/summary.ts';
import { expiringAmong, type ExpiringName } from '../../lib/store/expiring.ts';
import { currentNames } from '../../lib/store/name.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { formatSize, formatTable } from '../format.ts';
import { formatStatus, refuseFailures } from '../options/queue.ts';
import { printResult, STORE_OPTIONS } from '../options/session.ts';

export const statusCommand: Command = {
  summary: 'Shows the progress of a run, read from the store; without RUN, lists runs and expiring names.',
  operands: ['[RUN]'],
  options: {
    watch: { type: 'boolean', short: 'w', help: 'follow the run to its end; fail if any job failed' },
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'help'),
  },
  async run(args, signal) {
    const store = await openStore(args.text('store')!, {
      signal,
      failFast: !args.flag('watch'),
      mustExist: true,
    });
    const [run] = args.operands;
    if (run === undefined) {
      const runs = await describeRuns(store, signal);
      const expiring = expiringAmong(await currentNames(store, signal));
      const lines = [runs.length > 0 ? formatRuns(runs) : 'no runs', ...expiring.map(formatExpiring)];
      printResult(args, { runs, expiring }, lines.join('\n'));
      return;
    }
    const read = await createStatusReader(store, checkRunId(run));
    let printed = '';
    const show = async () => {
      const status = await read();
      const text = args.flag('json') ? JSON.stringify(status) : formatStatus(status);
      if (text !== printed) printResult(args, status, text);
      printed = text;
      return status;
    };
    let status = await show();
    if (!args.flag('watch')) return;
    const interval = createPollInterval();
    while (status.finished === undefined) {
      await sleep(
        interval.next(Object.values(status.stages).reduce((n, s) => n + s.done + s.skipped + s.failed, 0)),
        undefined,
        { signal },
      );
      status = await show();
    }
    refuseFailures(status);
  },
};

/** A run in the list of runs. */
interface ListedRun extends RunState {
  readonly id: string;
  /** Only for finished runs. */
  readonly summary?: Omit<RunSummary, 'parts'>;
}

async function describeRuns(store: Store, signal: AbortSignal): Promise<ListedRun[]> {
  const runs: ListedRun[] = [];
  for await (const id of listRuns(store)) {
    signal.throwIfAborted();
    const state = await findRunState(store, id);
    if (!state) continue;
    const found = state.state === 'over' ? await findSummary(store, id).catch(unlessDamaged) : undefined;
    const { parts: _, ...summary } = found ?? { parts: [] };
    runs.push({ id, ...state, ...('stages' in summary && { summary }) });
  }
  return runs;
}

/** A damaged report does not hide the other runs. */
function unlessDamaged(error: unknown): undefined {
  if (!(error instanceof PanamaxError && error.kind === 'bad-input')) throw error;
}

function formatExpiring({ name, platform, expires, isExpired }: ExpiringName): string {
  return isExpired
    ? `${name} ${platform} expired at ${expires}: sites refuse it until it is signed with panamax tag`
    : `${name} ${platform} expires at ${expires}: panamax tag --renew signs it again`;
}

function formatRuns(runs: readonly ListedRun[]): string {
  const rows = runs.map(({ id, state, since, summary }) => {
    const stages = Object.values(summary?.stages ?? {});
    const failed = stages.reduce((sum, { failed }) => sum + failed, 0);
    const figures = summary
      ? [String(summary.stages.delta.total), String(failed), formatSize(summary.bytes.saved)]
      : ['-', '-', '-'];
    return [id, state, since.toISOString(), ...figures];
  });
  return formatTable([['RUN', 'STATE', 'SINCE', 'PAIRS', 'FAILED', 'SAVED'], ...rows], 3);
}
