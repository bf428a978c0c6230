import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { createScratch } from '../../lib/scratch.ts';
import { openStore } from '../../lib/store/open.ts';
import { runWorker } from '../../workers/main.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { redisUrl, REDIS_OPTION } from '../queue.ts';
import { scratchParent, scratchSize, STORE_OPTION } from '../session.ts';

const USAGE = '[signature|pairing|delta|all] [options]';

export const workerCommand: Command = {
  summary: 'Takes jobs from the queue until it is told to stop.',
  usage: USAGE,
  options: {
    concurrency: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'jobs at a time, of each stage',
      default: '1',
    },
    grace: {
      type: 'string',
      value: 'SECONDS',
      help: 'for jobs under way when it is told to stop; then they are handed back',
      default: '20',
    },
    ...REDIS_OPTION,
    ...STORE_OPTION,
    'log-level': { ...STORE_OPTION['log-level']!, default: 'info' },
    'max-image-size': COMMON['max-image-size']!,
    scratch: COMMON['scratch']!,
    help: COMMON['help']!,
  },
  async run(args, signal) {
    operandCount(args, 0, 1, USAGE);
    const stages = parseStages(args.operands[0] ?? 'all');
    const log = createLog(args.text('log-level')!);
    const redis = redisUrl(args);
    const concurrency = args.count('concurrency');
    const grace = args.count('grace') * 1000;
    const store = await openStore(args.text('store')!);
    await using scratch = await createScratch(scratchParent(args));
    const size = await scratchSize(args, scratch.path);
    const { limits } = args;
    await runWorker(
      { redis, store, stages, concurrency, limits, scratch: scratch.path, scratchSize: size, grace, log },
      signal,
    );
  },
};

/** @throws PanamaxError `usage` */
function parseStages(text: string): readonly Stage[] {
  if (text === 'all') return STAGES;
  const stage = STAGES.find((known) => known === text);
  if (stage) return [stage];
  throw new PanamaxError('usage', 'unknown stage', { expected: `${STAGES.join(', ')} or all`, found: text });
}
