import { parentPort, workerData } from 'node:worker_threads';
import { toPanamaxError } from './errors.ts';
import type { ThreadMessage } from './thread.ts';

/** Makes the module that calls it the body of a thread that `runThread` starts. */
export function serveThread<Input, Result>(handle: (input: Input) => Promise<Result>): void {
  const post = (message: ThreadMessage<Result>) => parentPort?.postMessage(message);
  handle(workerData as Input).then(
    (result) => post({ result }),
    (error: unknown) => {
      const { kind, message, facts } = toPanamaxError(error);
      post({ failure: { kind, message, facts } });
    },
  );
}
