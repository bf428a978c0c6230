import { totalmem } from 'node:os';
import type { Effort } from '../../lib/delta/align/alignment.ts';
import { PanamaxError } from '../../lib/errors.ts';

/**
 * What the jobs of one process may take of its memory, together. Each reserves before it begins what it may need at
 * most; where that is not there it waits until others have ended, first come, first served.
 */
export interface Memory {
  /** For all jobs, in bytes. */
  readonly size: number;
  /** Given back by disposing of it. @throws PanamaxError `limit` for what never fits; the signal's reason */
  reserve(bytes: number, signal: AbortSignal): Promise<Disposable>;
}

const MIB = 1024 ** 2;

/** What the process itself takes beside its jobs, in bytes. */
export const PROCESS_MEMORY = 128 * MIB;

/** What a job of each kind takes at most, as measured on real images and rounded up; in bytes. */
export const JOB_MEMORY = { signature: 512 * MIB, pairing: 192 * MIB };
const DELTA_MEMORY: Readonly<Record<Effort, number>> = {
  fast: 512 * MIB,
  default: 512 * MIB,
  best: 768 * MIB,
};

/** What a pair takes at most. Small images take less: the matcher and the encoders have windows to fill. */
export function deltaMemory(streamSizes: number, effort: Effort): number {
  return Math.min(DELTA_MEMORY[effort], 160 * MIB + 4 * streamSizes);
}

/** By default most of what the container, or else the machine, has. */
export function defaultMemorySize(): number {
  const constrained = process.constrainedMemory();
  const most = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(0.8 * most);
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/** @param processSize what the whole process may take, in bytes */
export function createMemory(processSize: number): Memory {
  const size = Math.max(0, processSize - PROCESS_MEMORY);
  let free = size;
  const waiters: Waiter[] = [];

  function admitWaiters(): void {
    for (let first = waiters[0]; first && first.bytes <= free; first = waiters[0]) {
      waiters.shift();
      free -= first.bytes;
      first.admit();
    }
  }

  return {
    size,
    async reserve(bytes, signal) {
      signal.throwIfAborted();
      if (bytes > size) {
        throw new PanamaxError('limit', 'a job needs more memory than there is for jobs', {
          expected: `at most ${size} bytes (--memory, less ${PROCESS_MEMORY} for the process)`,
          found: bytes,
        });
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const waiter = { bytes, admit: resolve };
      const leave = () => {
        const at = waiters.indexOf(waiter);
        if (at < 0) return;
        waiters.splice(at, 1);
        reject(signal.reason as Error);
        admitWaiters();
      };
      signal.addEventListener('abort', leave, { once: true });
      waiters.push(waiter);
      admitWaiters();
      try {
        await promise;
      } finally {
        signal.removeEventListener('abort', leave);
      }
      let isHeld = true;
      return {
        [Symbol.dispose]() {
          if (!isHeld) return;
          isHeld = false;
          free += bytes;
          admitWaiters();
        },
      };
    },
  };
}
