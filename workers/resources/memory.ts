import { totalmem } from 'node:os';
import type { Effort } from '../../lib/delta/align/alignment.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { createSemaphore } from '../../lib/runtime/semaphore.ts';

/**
 * Memory of one process, shared by its jobs. A job reserves the most that it may need before it begins, and waits in
 * FIFO order until that much is free.
 */
export interface Memory {
  /** Memory of all jobs together, in bytes. */
  readonly size: number;
  /** Held until disposed of. @throws PanamaxError `limit` if it is over `size`; the signal's reason */
  reserve(bytes: number, signal: AbortSignal): Promise<Disposable>;
}

const MIB = 1024 ** 2;

/** Memory of the process itself, without its jobs, in bytes. */
export const PROCESS_MEMORY = 128 * MIB;

/** Peak memory of a job of each stage in bytes, measured on real images and rounded up. */
export const JOB_MEMORY = { signature: 512 * MIB, pairing: 192 * MIB };
const DELTA_MEMORY: Readonly<Record<Effort, number>> = {
  fast: 512 * MIB,
  default: 512 * MIB,
  best: 768 * MIB,
};

/** Peak memory of a delta job in bytes. Small images need less, since they do not fill the windows of matcher and encoders. */
export function deltaMemory(streamSizes: number, effort: Effort): number {
  return Math.min(DELTA_MEMORY[effort], 160 * MIB + 4 * streamSizes);
}

/** 80 % of the memory of the container, or of the machine if that is less. */
export function defaultMemorySize(): number {
  const constrained = process.constrainedMemory();
  const most = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(0.8 * most);
}

/** @param processSize memory of the whole process, in bytes */
export function createMemory(processSize: number): Memory {
  const size = Math.max(0, processSize - PROCESS_MEMORY);
  const semaphore = createSemaphore(size);
  return {
    size,
    async reserve(bytes, signal) {
      if (bytes > size) {
        throw new PanamaxError('limit', 'a job needs more memory than there is for jobs', {
          expected: `at most ${size} bytes (--memory, less ${PROCESS_MEMORY} for the process)`,
          found: bytes,
        });
      }
      return semaphore.reserve(bytes, signal);
    },
  };
}
