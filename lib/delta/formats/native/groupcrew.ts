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
import { YOUNG_GENERATION } from './memory.ts';
import type { GroupPlace } from './group.ts';
import { createOpenFiles, type FileParts } from '../../../runtime/space.ts';

const groupThread = threadEntry<typeof import('./groupthread.ts')>(
  new URL('./groupthread.ts', import.meta.url),
);

/** Does the work on groups, in threads of its own or at once. */
export interface GroupCrew extends AsyncDisposable {
  /** Jobs that are worth handing over at once. */
  readonly concurrency: number;
  /** A batch whose groups are to be done. To decode, the crew takes over its operations. */
  open(batch: Batch): OpenBatch;
}

export interface OpenBatch {
  encode(place: GroupPlace, work: Omit<EncodeWork, 'kind'>): Promise<EncodedGroup>;
  decode(place: GroupPlace, work: Omit<DecodeWork, 'kind'>): Promise<DecodedGroup>;
}

/** @param threads 0 to do everything in this one */
export function createGroupCrew(source: FileParts, threads: number, signal?: AbortSignal): GroupCrew {
  const workers = Array.from({ length: threads }, () => threadWorker(signal));
  if (threads === 0) workers.push(localWorker());

  return {
    concurrency: Math.max(1, threads + 1),
    open(batch) {
      const informed = new Set<Worker>();
      const run = async (place: GroupPlace, work: GroupJob['work']) => {
        const worker = workers.reduce((one, other) => (other.pending < one.pending ? other : one));
        const isNew = !informed.has(worker);
        const job: GroupJob = {
          place,
          work,
          ...(isNew && { batch }),
          ...(!worker.hasSource && { source }),
        };
        const moved =
          isNew && work.kind === 'decode' && workers.length === 1 ? columnsOf(batch.operations) : [];
        worker.hasSource = true;
        informed.add(worker);
        worker.pending += place.size;
        try {
          return await worker.call(job, moved);
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
  /** @param moved memory of the job that a thread takes over */
  call(job: GroupJob, moved: readonly ArrayBuffer[]): Promise<EncodedGroup | DecodedGroup>;
  close(): Promise<void>;
}

function columnsOf({ target, source, length, exact }: Batch['operations']): ArrayBuffer[] {
  return [target, source, length, exact].map(({ buffer }) => buffer as ArrayBuffer);
}

function threadWorker(signal: AbortSignal | undefined): Worker {
  const thread = openThread(groupThread, signal, undefined, YOUNG_GENERATION);
  return {
    pending: 0,
    hasSource: false,
    call: (job, moved) => {
      const parts = job.work.kind === 'decode' ? job.work.parts.map(({ buffer }) => buffer) : [];
      return thread.call(job, [...moved, ...parts]);
    },
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
