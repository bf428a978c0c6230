import { resourceLimits, Worker } from 'node:worker_threads';
import { PanamaxError, type ErrorFacts, type ErrorKind } from '../errors.ts';

/** An error on its way out of a thread: structured clone keeps no class. */
interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly facts: ErrorFacts;
}

export type ThreadMessage<Result> = { readonly result: Result } | { readonly failure: Failure };

/** tsc rewrites the extensions of imports, but not those of URLs. */
const IS_BUILT = import.meta.url.endsWith('.js');

/** In MiB. Left alone, a thread's garbage of a hundred MiB waits to be collected. */
const MAX_YOUNG_GENERATION = 24;

/**
 * In MiB: what V8 lets a thread have beyond its bound. At V8's own limit a thread mostly ends with an error, but the
 * whole process is aborted where one step needs more than what it adds then to end in. So a thread ends before
 * (`threadmain.ts`), as soon as what it keeps is over the bound; that it is V8's limit which ends it is left to work
 * that does not let the event loop turn.
 */
export const LEEWAY = 32;

/** The module of a thread, and the types of its input and its result. */
export interface ThreadEntry<Input, Result> {
  readonly module: URL;
  /** Only for the types: the handler runs in the thread. */
  readonly handler?: (input: Input) => Result;
}

interface ThreadModule {
  readonly handler: (input: never) => unknown;
}

type InputOf<Module extends ThreadModule> = Parameters<Module['handler']>[0];
type ResultOf<Module extends ThreadModule> = Awaited<ReturnType<Module['handler']>>;

/**
 * Names the module of a thread. The one form in use is
 * `threadEntry<typeof import('./xthread.ts')>(new URL('./xthread.ts', import.meta.url))`, in the module's folder: so the
 * compiler checks its path and types, and a bundler that writes all modules of threads into one folder need not change it.
 * For that their names are unique (`test/runtime/threads.test.ts`).
 *
 * @param source URL of the TypeScript source; in a build its JavaScript is taken
 */
export function threadEntry<Module extends ThreadModule>(
  source: URL,
): ThreadEntry<InputOf<Module>, ResultOf<Module>> {
  return { module: IS_BUILT ? new URL(source.href.replace(/\.ts$/, '.js')) : source };
}

/** A module made with `serveThread`, in a thread of its own. To be disposed of; that ends it at once. */
export interface Thread<Input, Result> extends AsyncDisposable {
  /** @throws PanamaxError `limit` where the thread takes more memory than it may; and what the module throws */
  call(input: Input): Promise<Result>;
}

interface Waiting<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs a module on one input in a thread of its own, so that the event loop stays free. An abort ends the thread at
 * once; its scratch files are the caller's to remove.
 *
 * @param heap bound of its JavaScript heap, in bytes; by default that of the thread that starts it
 * @throws PanamaxError as `Thread.call` does
 */
export async function runThread<Input, Result>(
  entry: ThreadEntry<Input, Result>,
  input: Input,
  signal?: AbortSignal,
  heap?: number,
): Promise<Result> {
  await using thread = openThread(entry, signal, heap);
  return await thread.call(input);
}

/** Starts a thread that takes one input after the other. The parameters are those of `runThread`. */
export function openThread<Input, Result>(
  { module }: ThreadEntry<Input, Result>,
  signal?: AbortSignal,
  heap?: number,
): Thread<Input, Result> {
  signal?.throwIfAborted();
  const maxOldGenerationSizeMb = heap
    ? Math.ceil(heap / 1024 ** 2) + LEEWAY
    : resourceLimits.maxOldGenerationSizeMb;
  const worker = new Worker(module, {
    resourceLimits: {
      maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION,
      ...(maxOldGenerationSizeMb && { maxOldGenerationSizeMb }),
    },
  });
  const waiting: Waiting<Result>[] = [];
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    for (const { reject } of waiting.splice(0)) reject(failure.error);
  };
  worker.on('message', (message: ThreadMessage<Result>) => {
    if ('result' in message) waiting.shift()?.resolve(message.result);
    else fail(revived(message.failure));
  });
  worker.once('error', (error: NodeJS.ErrnoException) => {
    fail(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(maxOldGenerationSizeMb) : error);
  });
  worker.once('exit', (code) => {
    fail(signal?.aborted ? signal.reason : new PanamaxError('internal', `thread ended with code ${code}`));
  });
  const stop = () => void worker.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  return {
    call(input) {
      if (failure) return Promise.reject(failure.error);
      worker.postMessage(input);
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      });
    },
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener('abort', stop);
      await worker.terminate();
    },
  };
}

export function outOfMemory(maxOldGenerationSizeMb: number | undefined): PanamaxError {
  const expected =
    maxOldGenerationSizeMb === undefined
      ? 'what Node allows'
      : `at most ${maxOldGenerationSizeMb - LEEWAY} MiB of heap`;
  return new PanamaxError('limit', 'a job needs too much memory', { expected });
}

/** The error that has come out of a thread. */
function revived({ kind, message, facts }: Failure): PanamaxError {
  const error = new PanamaxError(kind, message);
  Object.defineProperty(error, 'facts', { value: facts });
  return error;
}
