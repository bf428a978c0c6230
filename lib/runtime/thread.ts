import { basename } from 'node:path';
import { getAsset, isSea } from 'node:sea';
import { resourceLimits, Worker } from 'node:worker_threads';
import { PanamaxError, type ErrorFacts, type ErrorKind } from '../errors.ts';

/** A `PanamaxError` as a message, because structured clone drops its class. */
interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly facts: ErrorFacts;
}

export type ThreadMessage<Result> =
  | { readonly result: Result; /** Bytes that the thread still holds. */ readonly held: number }
  | { readonly failure: Failure }
  | { /** The step that begins. */ readonly step: string };

/**
 * Typed threads with a heap limit. Pools as piscina cannot turn a heap that outgrows its limit into an error before V8
 * aborts the process.
 */

/** tsc rewrites the extensions of imports, but not those of URLs. */
const IS_BUILT = import.meta.url.endsWith('.js');

/** In MiB. By default a thread collects garbage only after about a hundred MiB, buffers beside the heap included. */
const MAX_YOUNG_GENERATION = 12;

/**
 * In MiB: V8's heap limit for a thread exceeds the limit of this module by so much. At V8's limit most threads end
 * with an error, but V8 aborts the whole process if one allocation is larger than the reserve it grants then. So
 * `threadmain.ts` ends a thread as soon as its live heap exceeds our limit. V8's limit only ends work that blocks the
 * event loop.
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
 * Names the module of a thread, always in this form and in the module's folder:
 *
 *     threadEntry<typeof import('./xthread.ts')>(new URL('./xthread.ts', import.meta.url))
 *
 * The compiler checks the import, and the types of input and result follow from it. File names of entries are unique
 * (test/runtime/threads.test.ts), so a bundler can write all of them to one folder without changing this call.
 *
 * @param source URL of the TypeScript source; a build uses its JavaScript
 */
export function threadEntry<Module extends ThreadModule>(
  source: URL,
): ThreadEntry<InputOf<Module>, ResultOf<Module>> {
  return { module: IS_BUILT ? new URL(source.href.replace(/\.ts$/, '.js')) : source };
}

/** A running thread. Disposing ends it at once. */
export interface Thread<Input, Result> extends AsyncDisposable {
  /**
   * @param moved memory of the input that the thread takes over instead of a copy
   * @throws PanamaxError `limit` if the thread exceeds its heap limit; and any error of the handler
   */
  call(input: Input, moved?: readonly ArrayBuffer[]): Promise<Result>;
}

interface Waiting<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Bytes that an idle thread may hold. */
const MAX_KEPT = 64 * 1024 ** 2;
const MAX_IDLE = 8;
/** In milliseconds. */
const IDLE_TIME = 5000;

interface IdleThread {
  readonly key: string;
  readonly thread: KeptThread<never, unknown>;
  readonly timer: NodeJS.Timeout;
}

/** Threads that wait for their next input, last used last. */
const idle: IdleThread[] = [];

/**
 * Runs a thread for one input. An abort ends the thread at once; the caller removes its scratch files. A thread that
 * succeeded and holds little memory is kept for some seconds, because small jobs take less time than starting it.
 *
 * @param heap limit of the thread's JavaScript heap, in bytes; by default that of the calling thread
 * @param onStep called with each step that the handler names
 * @throws PanamaxError as `Thread.call` does
 */
export async function runThread<Input, Result>(
  entry: ThreadEntry<Input, Result>,
  input: Input,
  signal?: AbortSignal,
  heap?: number,
  onStep?: (step: string) => void,
): Promise<Result> {
  signal?.throwIfAborted();
  const key = `${entry.module.href} ${heapLimit(heap)}`;
  const thread = takeIdle<Input, Result>(key) ?? startThread(entry, undefined, heap);
  const stop = () => void thread[Symbol.asyncDispose]();
  signal?.addEventListener('abort', stop, { once: true });
  thread.listen(onStep);
  try {
    const result = await thread.call(input);
    if (thread.held() > MAX_KEPT || signal?.aborted) await thread[Symbol.asyncDispose]();
    else keepIdle(key, thread);
    return result;
  } catch (error) {
    await thread[Symbol.asyncDispose]();
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Like `runThread` for large jobs: the thread ends with its result, and its memory is free. */
export async function runThreadOnce<Input, Result>(
  entry: ThreadEntry<Input, Result>,
  input: Input,
  signal?: AbortSignal,
): Promise<Result> {
  await using thread = openThread(entry, signal);
  return await thread.call(input);
}

function takeIdle<Input, Result>(key: string): KeptThread<Input, Result> | undefined {
  const at = idle.findLastIndex((one) => one.key === key && one.thread.isRunning());
  if (at < 0) return undefined;
  const [{ thread, timer }] = idle.splice(at, 1) as [IdleThread];
  clearTimeout(timer);
  thread.hold(true);
  return thread as KeptThread<unknown, unknown> as KeptThread<Input, Result>;
}

function keepIdle<Input, Result>(key: string, kept: KeptThread<Input, Result>): void {
  const thread = kept as KeptThread<never, unknown>;
  thread.hold(false);
  const end = () => {
    const at = idle.findIndex((one) => one.thread === thread);
    if (at >= 0) idle.splice(at, 1);
    void thread[Symbol.asyncDispose]();
  };
  idle.push({ key, thread, timer: setTimeout(end, IDLE_TIME).unref() });
  if (idle.length <= MAX_IDLE) return;
  const oldest = idle.shift()!;
  clearTimeout(oldest.timer);
  void oldest.thread[Symbol.asyncDispose]();
}

function heapLimit(heap: number | undefined): number | undefined {
  return heap ? Math.ceil(heap / 1024 ** 2) + LEEWAY : resourceLimits.maxOldGenerationSizeMb;
}

interface KeptThread<Input, Result> extends Thread<Input, Result> {
  /** Replaces the listener for steps. */
  listen(onStep: ((step: string) => void) | undefined): void;
  /** Whether the process waits for the thread before it ends. */
  hold(isHeld: boolean): void;
  /** Bytes that it held after its last result. */
  held(): number;
  isRunning(): boolean;
}

/**
 * Starts a thread that handles any number of inputs, in order. The parameters are those of `runThread`.
 *
 * @param youngGeneration of the heap, in MiB; small for threads that have most of their memory in typed arrays
 */
export function openThread<Input, Result>(
  entry: ThreadEntry<Input, Result>,
  signal?: AbortSignal,
  heap?: number,
  youngGeneration?: number,
): Thread<Input, Result> {
  return startThread(entry, signal, heap, youngGeneration);
}

function startThread<Input, Result>(
  { module }: ThreadEntry<Input, Result>,
  signal: AbortSignal | undefined,
  heap: number | undefined,
  maxYoungGenerationSizeMb = MAX_YOUNG_GENERATION,
): KeptThread<Input, Result> {
  signal?.throwIfAborted();
  const maxOldGenerationSizeMb = heapLimit(heap);
  const options = {
    resourceLimits: {
      maxYoungGenerationSizeMb,
      ...(maxOldGenerationSizeMb && { maxOldGenerationSizeMb }),
    },
  };
  // a single executable has the scripts of threads as assets
  const worker = isSea()
    ? new Worker(getAsset(basename(module.pathname), 'utf8'), { ...options, eval: true })
    : new Worker(module, options);
  const waiting: Waiting<Result>[] = [];
  let failure: { readonly error: unknown } | undefined;
  let held = 0;
  let listener: ((step: string) => void) | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    for (const { reject } of waiting.splice(0)) reject(failure.error);
  };
  worker.on('message', (message: ThreadMessage<Result>) => {
    if ('result' in message) {
      held = message.held;
      waiting.shift()?.resolve(message.result);
    } else if ('step' in message) listener?.(message.step);
    else fail(restoreError(message.failure));
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
    call(input, moved = []) {
      if (failure) return Promise.reject(failure.error);
      worker.postMessage(input, moved);
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      });
    },
    listen: (onStep) => (listener = onStep),
    hold: (isHeld) => (isHeld ? worker.ref() : worker.unref()),
    held: () => held,
    isRunning: () => failure === undefined,
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener('abort', stop);
      await worker.terminate();
    },
  };
}

export function outOfMemory(maxOldGenerationSizeMb: number | undefined): PanamaxError {
  const expected =
    maxOldGenerationSizeMb === undefined
      ? "at most Node's limit"
      : `at most ${maxOldGenerationSizeMb - LEEWAY} MiB of heap`;
  return new PanamaxError('limit', 'a job needs too much memory', { expected });
}

function restoreError({ kind, message, facts }: Failure): PanamaxError {
  const error = new PanamaxError(kind, message);
  Object.defineProperty(error, 'facts', { value: facts });
  return error;
}
