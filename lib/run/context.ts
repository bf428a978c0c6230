import type { Limits } from '../limits.ts';
import type { Store } from '../store/store.ts';

/** What a stage handler may use. It knows no queue: the drivers call it with this and an input. */
export interface StageContext {
  readonly store: Store;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly limits: Limits;
  /** A directory for files that need not outlive the process. */
  readonly scratch: string;
}

/** The part of a pino logger that is used. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** `skipped`: the output was there already and is sound. A failure is thrown. */
export type Outcome<Result> = { readonly status: 'done' | 'skipped' } & Result;
