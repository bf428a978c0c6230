import { Worker } from 'node:worker_threads';
import { PanamaxError, type ErrorFacts, type ErrorKind } from './errors.ts';

/** An error on its way out of a thread: structured clone keeps no class. */
interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly facts: ErrorFacts;
}

export type ThreadMessage<Result> = { readonly result: Result } | { readonly failure: Failure };

/**
 * Runs a module made with `serveThread` on one input in a thread of its own, so that the event loop stays free.
 * An abort ends the thread at once; its scratch files are the caller's to remove.
 *
 * @param module URL of the module; name it with `threadModule`
 */
export async function runThread<Input, Result>(
  module: URL,
  input: Input,
  signal?: AbortSignal,
): Promise<Result> {
  signal?.throwIfAborted();
  const worker = new Worker(module, { workerData: input });
  const stop = () => void worker.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<Result>((resolve, reject) => {
      worker.once('message', (message: ThreadMessage<Result>) => {
        if ('result' in message) resolve(message.result);
        else reject(revived(message.failure));
      });
      worker.once('error', reject);
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

/** The error that has come out of a thread. */
export function revived({ kind, message, facts }: Failure): PanamaxError {
  const error = new PanamaxError(kind, message);
  Object.defineProperty(error, 'facts', { value: facts });
  return error;
}
