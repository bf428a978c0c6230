/** Main of a worker process: `panamax worker` with a test's settings, given as JSON. */
import { createLog } from '../../lib/log.ts';
import { createScratch } from '../../lib/runtime/scratch.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { FLOW, type StageHandlers } from '../../workers/flow.ts';
import { runWorker } from '../../workers/worker.ts';
import type { WorkerSettings } from './worker.ts';

const settings = JSON.parse(process.argv[2]!) as WorkerSettings;
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const store = await openStore(settings.store);
await using scratch = await createScratch(settings.scratch);
const handlers: StageHandlers = {
  ...FLOW,
  async signature(job, plan, context) {
    if (settings.poison && job.reference.endsWith(settings.poison)) process.kill(process.pid, 'SIGKILL');
    return FLOW.signature(job, plan, context);
  },
};
await runWorker({ ...settings, handlers, store, scratch: scratch.path, log: createLog('warn') }, stop.signal);
