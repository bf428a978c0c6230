import type { CheckReference } from '../lib/image/allowlist.ts';
import type { Limits } from '../lib/limits.ts';
import type { SimilarityIndex } from '../lib/pairing/forest.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { LayerCache } from './resources/layercache.ts';
import type { Notify } from './notify/events.ts';
import type { Memory } from './resources/memory.ts';
import type { Sign } from '../lib/store/key.ts';

/** Everything that a stage handler uses beside its input. Handlers know no queue; both drivers call them with this. */
export interface StageContext {
  readonly store: Store;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly limits: Limits;
  /** A directory for files that need not outlive the process. */
  readonly scratch: string;
  /** Unpacked images on scratch, shared by the jobs of this process. */
  readonly layers: LayerCache;
  /** Memory for jobs, shared by the jobs of this process. */
  readonly memory: Memory;
  /** Index of the images that have been read, by similarity. */
  readonly similar: SimilarityIndex;
  /** Throws `usage` for a reference that this process may not read; undefined if it may read all. */
  readonly checkReference?: CheckReference;
  /** Signs what is published; undefined without a key. */
  readonly sign?: Sign;
  /** Tells receivers of events; undefined without any. */
  readonly notify?: Notify;
  /** Undefined if no other process works for the store. */
  readonly runExclusive?: RunExclusive;
}

/**
 * Runs an action unless another process runs one of the same name. Doing it twice would be correct but wasteful: the
 * lock of a process that dies ends after a minute.
 *
 * @returns false if another process has the lock; then the action was not run
 */
export type RunExclusive = (name: string, action: () => Promise<void>) => Promise<boolean>;

/** The methods that are used of a pino logger. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** A log that adds these fields to each line. */
export function logWith(log: Log, fields: object): Log {
  return {
    info: (more, message) => log.info({ ...fields, ...more }, message),
    warn: (more, message) => log.warn({ ...fields, ...more }, message),
  };
}

/** `skipped`: the output existed and was verified. A failure is thrown. */
export type Outcome<Result> = { readonly status: 'done' | 'skipped' } & Result;
