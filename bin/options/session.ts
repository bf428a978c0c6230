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
  sign: { type: 'string', value: 'KEY', help: 'sign published documents with a private key made by keygen' },
};

/** Options of the commands that rebuild images at sites. */
export const SITE_OPTIONS: Options = {
  uncompressed: {
    type: 'boolean',
    help: 'write layers uncompressed: faster, but the manifest digest differs',
  },
  'verify-key': {
    type: 'string',
    multiple: true,
    value: 'PUB',
    help: 'accept only documents signed by one of these keys',
  },
};

export const STORE_OPTIONS: Options = {
  store: {
    type: 'string',
    value: 'DIR',
    help: 'store of signatures and patches',
    default: 'panamax-store',
  },
  'scratch-size': {
    type: 'string',
    value: 'SIZE',
    help: 'limit of scratch space (default: four fifths of the free space)',
  },
  memory: {
    type: 'string',
    value: 'SIZE',
    help: 'limit of memory for the process (default: four fifths of the available memory)',
  },
  'log-level': {
    type: 'string',
    value: 'LEVEL',
    help: 'level of the structured log on standard error',
    default: 'warn',
  },
};

/** The scratch directory; by default one per user, named by the user ID, since a container's user may have no name. */
export function scratchParent(args: Arguments): string {
  return args.text('scratch') ?? join(tmpdir(), `panamax-${process.getuid?.() ?? userInfo().username}`);
}

/** @throws PanamaxError `usage`, `not-found` */
export async function readSigning(args: Arguments): Promise<{ readonly sign?: Sign }> {
  const key = args.text('sign');
  return key === undefined ? {} : { sign: await readSigningKey(key) };
}

/** Runs an action with the context that stage handlers need. Removes the scratch directory at the end, also after an error. */
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

/** The limit of --scratch-size, in bytes. @throws PanamaxError `usage` */
export function scratchSize(args: Arguments): number | undefined {
  const text = args.text('scratch-size');
  return text === undefined ? undefined : parseSize(text, '--scratch-size');
}

/**
 * The limit of --memory, in bytes.
 *
 * @throws PanamaxError `usage` for less than any job of one of the stages takes
 */
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

/** Memory of the smallest job of each stage, in bytes. */
const LEAST_MEMORY: Readonly<Record<Stage, number>> = { ...JOB_MEMORY, delta: deltaMemory(0, 'default') };

/** Prints a result on standard output: as JSON with --json, else as text. */
export function printResult(args: Arguments, result: object, text: string): void {
  process.stdout.write(args.flag('json') ? `${JSON.stringify(result, null, 2)}\n` : `${text}\n`);
}
