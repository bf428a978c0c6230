import { resourceLimits, Worker } from 'node:worker_threads';
import { PanamaxError, type ErrorFacts, type ErrorKind } from './errors.ts';

/** An error on its way out of a thread: structured clone keeps no class. */
interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly facts: ErrorFacts;
}

export type ThreadMessage<Result> = { readonly result: Result } | { readonly failure: Failure };

/** In MiB. Left alone, a thread's garbage of a hundred MiB waits to be collected. */
const MAX_YOUNG_GENERATION = 24;

/**
 * In MiB: what V8 lets a thread have beyond its bound. At V8's own limit a thread mostly ends with an error, but the
 * whole process is aborted where one step needs more than what it adds then to end in. So a thread ends before
 * (`threadmain.ts`), as soon as what it keeps is over the bound; that it is V8's limit which ends it is left to work
 * that does not let the event loop turn.
 */
export const LEEWAY = 32;

/**
 * Runs a module made with `serveThread` on one input in a thread of its own, so that the event loop stays free.
 * An abort ends the thread at once; its scratch files are the caller's to remove.
 *
 * @param module URL of the module; name it with `threadModule`
 * @param heap bound of its JavaScript heap, in bytes; by default that of the thread that starts it
 * @throws PanamaxError `limit` where it takes more; and what the module throws
 */
export async function runThread<Input, Result>(
  module: URL,
  input: Input,
  signal?: AbortSignal,
  heap?: number,
): Promise<Result> {
  signal?.throwIfAborted();
  const maxOldGenerationSizeMb = heap
    ? Math.ceil(heap / 1024 ** 2) + LEEWAY
    : resourceLimits.maxOldGenerationSizeMb;
  const worker = new Worker(module, {
    workerData: input,
    resourceLimits: {
      maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION,
      ...(maxOldGenerationSizeMb && { maxOldGenerationSizeMb }),
    },
  });
  const stop = () => void worker.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<Result>((resolve, reject) => {
      worker.once('message', (message: ThreadMessage<Result>) => {
        if ('result' in message) resolve(message.result);
        else reject(revived(message.failure));
      });
      worker.once('error', (error: NodeJS.ErrnoException) => {
        const isFull = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        reject(isFull ? outOfMemory(maxOldGenerationSizeMb) : error);
      });
      worker.once('exit', (code) => {
        reject(
          signal?.aborted ? signal.reason : new PanamaxError('internal', `thread ended with code ${code}`),
        );
      });
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

/** URL of a module, as source or as built: `name` relative to the caller's `import.meta.url`, no extension. */
export function threadModule(name: string, base: string): URL {
  return new URL(`${name}${base.endsWith('.ts') ? '.ts' : '.js'}`, base);
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
