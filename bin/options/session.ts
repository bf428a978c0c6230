import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import type { StageContext } from '../../workers/context.ts';
import { createLayerCache } from '../../workers/resources/layercache.ts';
import {
  createMemory,
  defaultMemorySize,
  deltaMemory,
  JOB_MEMORY,
  PROCESS_MEMORY,
} from '../../workers/resources/memory.ts';
import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { createForest, createMemoryStorage } from '../../lib/pairing/forest.ts';
import { createScratch, defaultScratchSize } from '../../lib/runtime/scratch.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { readSigningKey, type Sign } from '../../lib/store/key.ts';
import type { Arguments, Options } from '../command.ts';
import { parseSize } from '../format.ts';

export const SIGN_OPTION: Options = {
  sign: { type: 'string', value: 'KEY', help: 'sign what is published, with a private key of keygen' },
};

/** Of what is applied at sites. */
export const SITE_OPTIONS: Options = {
  uncompressed: {
    type: 'boolean',
    help: 'layers as plain tars: faster, but the manifest digest is not kept',
  },
  'verify-key': {
    type: 'string',
    multiple: true,
    value: 'PUB',
    help: 'take nothing that is not signed by one of these keys',
  },
};

export const STORE_OPTION: Options = {
  store: {
    type: 'string',
    value: 'DIR',
    help: 'where signatures and patches are kept',
    default: 'panamax-store',
  },
  'scratch-size': {
    type: 'string',
    value: 'SIZE',
    help: 'what may be kept on scratch (default: four fifths of what is free)',
  },
  memory: {
    type: 'string',
    value: 'SIZE',
    help: 'what the process may take (default: four fifths of what there is)',
  },
  'log-level': { type: 'string', value: 'LEVEL', help: 'structured log on standard error', default: 'warn' },
};

/** By default each user has a directory of their own; a number will do, for not every one has a name. */
export function scratchParent(args: Arguments): string {
  return args.text('scratch') ?? join(tmpdir(), `panamax-${process.getuid?.() ?? userInfo().username}`);
}

/** @throws PanamaxError `usage`, `not-found` */
export async function readSigning(args: Arguments): Promise<{ readonly sign?: Sign }> {
  const key = args.text('sign');
  return key === undefined ? {} : { sign: await readSigningKey(key) };
}

/** Opens what stage handlers need, and removes the scratch directory in the end, however it ends. */
export async function withContext<Result>(
  args: Arguments,
  signal: AbortSignal,
  action: (context: StageContext) => Promise<Result>,
): Promise<Result> {
  const log = createLog(args.text('log-level')!);
  const signing = await readSigning(args);
  const store = await openStore(args.text('store')!, { signal });
  await using scratch = await createScratch(scratchParent(args));
  const size = scratchSize(args);
  await using layers = createLayerCache(
    join(scratch.path, 'layers'),
    size ?? (await defaultScratchSize(scratch.path)),
    size === undefined,
  );
  const similar = createForest(createMemoryStorage());
  const memory = createMemory(memorySize(args));
  const { limits } = args;
  const shared = { layers, memory, similar };
  return await action({ store, log, signal, limits, scratch: scratch.path, ...shared, ...signing });
}

/** What may be kept on scratch, in bytes, where somebody says so. @throws PanamaxError `usage` */
export function scratchSize(args: Arguments): number | undefined {
  const text = args.text('scratch-size');
  return text === undefined ? undefined : parseSize(text, '--scratch-size');
}

/** In bytes. @throws PanamaxError `usage` where too little is asked for to do any job of a stage */
export function memorySize(args: Arguments, stages: readonly Stage[] = STAGES): number {
  const text = args.text('memory');
  const least = PROCESS_MEMORY + Math.max(...stages.map((stage) => LEAST_MEMORY[stage]));
  if (text === undefined) return Math.max(defaultMemorySize(), least);
  const size = parseSize(text, '--memory');
  if (size >= least) return size;
  throw new PanamaxError('usage', '--memory', {
    expected: `at least ${Math.ceil(least / 1024 ** 2)}M for ${stages.join(', ')}`,
    found: text,
  });
}

/** A pair of small images takes little. */
const LEAST_MEMORY: Readonly<Record<Stage, number>> = { ...JOB_MEMORY, delta: deltaMemory(0, 'default') };

/** Results go to standard output, as JSON or for people. */
export function printResult(args: Arguments, result: object, text: string): void {
  process.stdout.write(args.flag('json') ? `${JSON.stringify(result, null, 2)}\n` : `${text}\n`);
}
