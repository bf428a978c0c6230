import { parentPort, workerData } from 'node:worker_threads';
import { toPanamaxError } from './errors.ts';
import type { ThreadMessage } from './thread.ts';

/** Makes the module that calls it the body of a thread that `runThread` starts. */
export function serveThread<Input, Result>(handle: (input: Input) => Promise<Result>): void {
  const post = (message: ThreadMessage<Result>, memory: ArrayBuffer[] = []) =>
    parentPort?.postMessage(message, memory);
  handle(workerData as Input).then(
    (result) => post({ result }, columnsOf(result)),
    (error: unknown) => {
      const { kind, message, facts } = toPanamaxError(error);
      post({ failure: { kind, message, facts } });
    },
  );
}

/** The memory of a table's columns: it goes along uncopied, for the thread ends here. */
function columnsOf(result: unknown): ArrayBuffer[] {
  return Object.values(result ?? {}).flatMap((column: unknown) =>
    column instanceof Float64Array || column instanceof Uint8Array ? ownedMemory(column) : [],
  );
}

/** None where it is part of a larger one. */
function ownedMemory({ buffer, byteLength }: Float64Array | Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
