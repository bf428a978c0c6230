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
import { readSigningKeys, readVerifyKeys, type NameTerms, type Sign } from '../../lib/store/key.ts';
import { isStoreName, STORE_NAME_EXPECTED } from '../../lib/store/name.ts';
import { MAX_LIFETIME, type NameTrust } from '../../lib/store/nametrust.ts';
import type { Arguments, Option, Options } from '../command.ts';
import { parseDuration, parseSize } from '../format.ts';

/** The option for the file that a command writes. */
export function outputFile(help: string): Option {
  return { type: 'string', short: 'o', value: 'FILE', required: true, help };
}

export const SIGN_OPTIONS: Options = {
  sign: {
    type: 'string',
    multiple: true,
    takesOne: true,
    value: 'KEY',
    env: true,
    help: 'sign published documents with a private key made by keygen; several keys sign together',
  },
  expires: {
    type: 'string',
    value: 'TIME',
    env: true,
    help: 'signed names expire after this time (12h, 14d) unless they are signed again; or never',
  },
  'store-name': {
    type: 'string',
    value: 'NAME',
    env: true,
    help: "the store's name in signed names, such as production",
  },
};

/** Requirements of a site on records of names. */
export const TRUST_OPTIONS: Options = {
  'store-name': {
    type: 'string',
    value: 'NAME',
    env: true,
    help: 'accept only names that were signed for the store of this name',
  },
  'require-expiry': { type: 'boolean', env: true, help: 'accept only names that expire' },
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
    env: true,
    help: 'accept only documents signed by one of these keys',
  },
};

export const STORE_OPTIONS: Options = {
  store: {
    type: 'string',
    value: 'STORE',
    env: true,
    help: 'directory or s3://BUCKET[/PREFIX] of signatures and patches',
    default: 'panamax-store',
  },
  'scratch-size': {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'limit of scratch space (default: four fifths of the free space)',
  },
  memory: {
    type: 'string',
    value: 'SIZE',
    env: true,
    help: 'limit of memory for the process (default: four fifths of the available memory)',
  },
  'log-level': {
    type: 'string',
    value: 'LEVEL',
    env: true,
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
  const paths = args.list('sign');
  const terms = readTerms(args);
  if (paths.length > 0) return { sign: await readSigningKeys(paths, terms) };
  const [term] = Object.keys(terms);
  if (term === undefined) return {};
  const found = term === 'store' ? '--store-name' : '--expires';
  throw new PanamaxError('usage', 'nothing is signed', { expected: '--sign KEY', found });
}

/** @throws PanamaxError `usage` */
function readTerms(args: Arguments): NameTerms {
  const expires = args.text('expires');
  const lifetime =
    expires === undefined || expires === 'never' ? expires : parseDuration(expires, '--expires');
  if (typeof lifetime === 'number' && lifetime > MAX_LIFETIME) {
    throw new PanamaxError('usage', '--expires', { expected: 'at most 366d', found: expires! });
  }
  return { ...storeName(args), ...(lifetime !== undefined && { lifetime }) };
}

/** @throws PanamaxError `usage` */
function storeName(args: Arguments): { readonly store?: string } {
  const store = args.text('store-name');
  if (store === undefined) return {};
  if (isStoreName(store)) return { store };
  throw new PanamaxError('usage', '--store-name', { expected: STORE_NAME_EXPECTED, found: store });
}

/** The requirements of a site on names. @throws PanamaxError `usage` */
export async function readTrust(args: Arguments): Promise<NameTrust> {
  const paths = args.list('verify-key');
  const { store } = storeName(args);
  const requireExpiry = args.flag('require-expiry');
  if (paths.length === 0) {
    if (store === undefined && !requireExpiry) return {};
    const found = store === undefined ? '--require-expiry' : '--store-name';
    throw new PanamaxError('usage', 'nothing is verified', { expected: '--verify-key PUB', found });
  }
  return {
    verify: await readVerifyKeys(paths),
    ...(store !== undefined && { storeName: store }),
    ...(requireExpiry && { requireExpiry }),
  };
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

/** Version of the documents that commands print with --json (docs/json.md). */
const JSON_VERSION = 1;

/** Prints a result on standard output: as JSON with --json, else as text. */
export function printResult(args: Arguments, result: object, text: string): void {
  process.stdout.write(
    args.flag('json') ? `${JSON.stringify({ version: JSON_VERSION, ...result }, null, 2)}\n` : `${text}\n`,
  );
}
