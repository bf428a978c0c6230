import {
  constants,
  PerformanceObserver,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
} from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { parentPort, resourceLimits } from 'node:worker_threads';
import { toPanamaxError } from '../errors.ts';
import { LEEWAY, outOfMemory, type ThreadMessage } from './thread.ts';

/**
 * Makes the calling module the entry of a thread, which handles inputs in order. The module exports the returned function
 * as `handler`, which gives its `ThreadEntry` the types of input and result.
 *
 * @param handle may report its steps by `onStep`
 */
export function serveThread<Input, Result>(
  handle: (input: Input, onStep: (step: string) => void) => Result | Promise<Result>,
): (input: Input) => Result | Promise<Result> {
  const post = (message: ThreadMessage<Result>, memory: ArrayBuffer[] = []) =>
    parentPort?.postMessage(message, memory);
  const fail = (error: unknown) => {
    const { kind, message, facts } = toPanamaxError(error);
    post({ failure: { kind, message, facts } });
  };
  const onStep = (step: string) => post({ step });
  watchHeap(fail);
  async function answer(input: Input): Promise<void> {
    try {
      const result = await handle(input, onStep);
      const given = columnsOf(result);
      const held = heldMemory() - given.reduce((sum, { byteLength }) => sum + byteLength, 0);
      post({ result, held }, given);
    } catch (error) {
      fail(error);
    }
  }
  let before = Promise.resolve();
  parentPort?.on('message', (input: Input) => {
    before = before.then(() => answer(input));
  });
  return (input) => handle(input, onStep);
}

function heldMemory(): number {
  const { total_heap_size, external_memory } = getHeapStatistics();
  return total_heap_size + external_memory;
}

/** Reports an error if the heap exceeds its limit after a full collection. The caller then ends the thread. */
function watchHeap(fail: (error: unknown) => void): void {
  const { maxOldGenerationSizeMb } = resourceLimits;
  if (maxOldGenerationSizeMb === undefined) return;
  const maxHeap = (maxOldGenerationSizeMb - LEEWAY) * 1024 ** 2;
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some(isFullCollection) && getHeapStatistics().used_heap_size > maxHeap)
      fail(outOfMemory(maxOldGenerationSizeMb));
  });
  observer.observe({ entryTypes: ['gc'] });
}

function isFullCollection(entry: PerformanceEntry & { readonly detail?: unknown }): boolean {
  return (entry.detail as NodeGCPerformanceDetail).kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

/**
 * The buffers of typed arrays in a result and in its lists: they are transferred, not copied, because the thread needs them no
 * more.
 */
function columnsOf(result: unknown): ArrayBuffer[] {
  const columns = Object.values(result ?? {}).flatMap((column: unknown) =>
    Array.isArray(column) ? (column as unknown[]) : [column],
  );
  return [...new Set(columns.flatMap((column) => (ArrayBuffer.isView(column) ? ownedMemory(column) : [])))];
}

/** The array's buffer, or none if the array is a part of it. */
function ownedMemory({ buffer, byteLength }: ArrayBufferView): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && byteLength > 0 && buffer.byteLength === byteLength ? [buffer] : [];
}
