import { setTimeout as sleep } from 'node:timers/promises';
import { createPace } from '../../lib/run/pace.ts';
import { checkRunId } from '../../lib/run/plan.ts';
import { listRuns } from '../../lib/run/record.ts';
import { createStatusReader } from '../../lib/run/status.ts';
import { openStore } from '../../lib/store/open.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { formatStatus, refuseFailures } from '../queue.ts';
import { printResult, STORE_OPTION } from '../session.ts';

const USAGE = '[RUN] [options]';

export const statusCommand: Command = {
  summary: 'Tells how far a run is, from the store alone; without RUN, which runs there are.',
  usage: USAGE,
  options: {
    watch: { type: 'boolean', short: 'w', help: 'go on to the end of the run; fails if anything did' },
    store: STORE_OPTION['store']!,
    json: COMMON['json']!,
    help: COMMON['help']!,
  },
  async run(args, signal) {
    operandCount(args, 0, 1, USAGE);
    const store = await openStore(args.text('store')!, { signal, isHasty: !args.flag('watch') });
    const [run] = args.operands;
    if (run === undefined) {
      const runs = await listRuns(store);
      printResult(args, runs, runs.join('\n') || 'no runs');
      return;
    }
    const read = await createStatusReader(store, checkRunId(run));
    let status = await read();
    printResult(args, status, formatStatus(status));
    if (!args.flag('watch')) return;
    const pace = createPace();
    while (status.finished === undefined) {
      await sleep(
        pace.next(Object.values(status.stages).reduce((n, s) => n + s.done + s.skipped + s.failed, 0)),
        undefined,
        { signal },
      );
      status = await read();
      printResult(args, status, formatStatus(status));
    }
    refuseFailures(status);
  },
};
