import { openThread, threadEntry } from '../../../runtime/thread.ts';
import type { Batch } from './batch.ts';
import {
  createGroupHandler,
  type DecodedGroup,
  type DecodeWork,
  type EncodedGroup,
  type EncodeWork,
  type GroupJob,
} from './groupjob.ts';
import type { GroupPlace } from './group.ts';
import { createOpenFiles, type SpaceParts } from './space.ts';

const groupThread = threadEntry<typeof import('./groupthread.ts')>(
  new URL('./groupthread.ts', import.meta.url),
);

/** Does the work on groups, in threads of its own or at once. */
export interface GroupCrew extends AsyncDisposable {
  /** Jobs that are worth handing over at once. */
  readonly concurrency: number;
  /** A batch whose groups are to be done. */
  open(batch: Batch): OpenBatch;
}

export interface OpenBatch {
  encode(place: GroupPlace, work: Omit<EncodeWork, 'kind'>): Promise<EncodedGroup>;
  decode(place: GroupPlace, work: Omit<DecodeWork, 'kind'>): Promise<DecodedGroup>;
}

/** @param threads 0 to do everything in this one */
export function createGroupCrew(source: SpaceParts, threads: number, signal?: AbortSignal): GroupCrew {
  const workers = Array.from({ length: threads }, () => threadWorker(signal));
  if (threads === 0) workers.push(localWorker());

  return {
    concurrency: Math.max(1, threads + 1),
    open(batch) {
      const informed = new Set<Worker>();
      const run = async (place: GroupPlace, work: GroupJob['work']) => {
        const worker = workers.reduce((one, other) => (other.pending < one.pending ? other : one));
        const job: GroupJob = {
          place,
          work,
          ...(!informed.has(worker) && { batch }),
          ...(!worker.hasSource && { source }),
        };
        worker.hasSource = true;
        informed.add(worker);
        worker.pending += place.size;
        try {
          return await worker.call(job);
        } finally {
          worker.pending -= place.size;
        }
      };
      return {
        encode: (place, work) => run(place, { kind: 'encode', ...work }) as Promise<EncodedGroup>,
        decode: (place, work) => run(place, { kind: 'decode', ...work }) as Promise<DecodedGroup>,
      };
    },
    async [Symbol.asyncDispose]() {
      for (const worker of workers) await worker.close();
    },
  };
}

interface Worker {
  /** Bytes of groups it has been given and not given back. */
  pending: number;
  hasSource: boolean;
  call(job: GroupJob): Promise<EncodedGroup | DecodedGroup>;
  close(): Promise<void>;
}

function threadWorker(signal: AbortSignal | undefined): Worker {
  const thread = openThread(groupThread, signal);
  return {
    pending: 0,
    hasSource: false,
    call: (job) =>
      thread.call(job, job.work.kind === 'decode' ? job.work.parts.map(({ buffer }) => buffer) : []),
    close: () => thread[Symbol.asyncDispose]() as Promise<void>,
  };
}

function localWorker(): Worker {
  const files = createOpenFiles();
  const handle = createGroupHandler(files);
  return {
    pending: 0,
    hasSource: false,
    call: (job) => new Promise((resolve) => resolve(handle(job))),
    close: () => {
      files[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
