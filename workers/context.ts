import type { Limits } from '../lib/limits.ts';
import type { SimilarityIndex } from '../lib/pairing/forest.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { LayerCache } from './resources/layercache.ts';
import type { Memory } from './resources/memory.ts';
import type { Sign } from '../lib/store/key.ts';

/** What a stage handler may use. It knows no queue: the drivers call it with this and an input. */
export interface StageContext {
  readonly store: Store;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly limits: Limits;
  /** A directory for files that need not outlive the process. */
  readonly scratch: string;
  /** Unpacked images on scratch, shared by the jobs of this process. */
  readonly layers: LayerCache;
  /** Shared by the jobs of this process, too. */
  readonly memory: Memory;
  /** The images that have been read, found by what they have in common. */
  readonly similar: SimilarityIndex;
  /** Signs what is published, where the store's owner has a key. */
  readonly sign?: Sign;
  /** Keeps other processes from the same, where there are some. */
  readonly alone?: Alone;
}

/**
 * Does something unless another process is at work on it. For what is right, but a waste, when it is done twice: who
 * dies or is cut off is waited for no longer than a minute.
 *
 * @returns false where another is, and nothing was done
 */
export type Alone = (what: string, action: () => Promise<void>) => Promise<boolean>;

/** The part of a pino logger that is used. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** A log whose every line has these fields, too. */
export function logWith(log: Log, fields: object): Log {
  return {
    info: (more, message) => log.info({ ...fields, ...more }, message),
    warn: (more, message) => log.warn({ ...fields, ...more }, message),
  };
}

/** `skipped`: the output was there already and is sound. A failure is thrown. */
export type Outcome<Result> = { readonly status: 'done' | 'skipped' } & Result;
