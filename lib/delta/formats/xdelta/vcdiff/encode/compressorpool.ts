import { openThread, threadEntry } from '../../../../../runtime/thread.ts';
import { createCompressor, type Thoroughness } from './compressor.ts';
import type { SectionColumns } from './compressorthread.ts';
import { type Sections, sizeOf } from './sections.ts';
import { SECTIONS, type SectionName } from '../window.ts';

const compressorThread = threadEntry<typeof import('./compressorthread.ts')>(
  new URL('./compressorthread.ts', import.meta.url),
);

/** Each thread takes up to 70 MiB. */
const THREADS = 2;
/** Groups in flight: one more than the threads, so that the next work is ready. */
const CONCURRENCY = THREADS + 1;

/** Spare bytes of a group's memory, so that a later, slightly larger group can use it again. */
const SPARE = 2 ** 20;

export interface CompressorPool {
  /** Number of groups of windows that can be in flight at once. */
  readonly concurrency: number;
  /** Compresses the sections of the next windows and takes ownership of them. Calls have to be in window order. */
  compress(windows: readonly Sections[]): Promise<Sections[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Compresses in this thread: for patches so small that starting threads would take longer. */
export function singleCompressor(thoroughness: Thoroughness): CompressorPool {
  const compressor = createCompressor(thoroughness);
  const compress = (windows: readonly Sections[], kind: SectionName) =>
    compressor[kind].compress(windows.map((sections) => sections[kind]));
  return {
    concurrency: 1,
    compress(windows) {
      const columns = {
        data: compress(windows, 'data'),
        instructions: compress(windows, 'instructions'),
        addresses: compress(windows, 'addresses'),
      };
      return Promise.resolve(windowsOf(columns));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * Compresses groups of windows in threads, each kind of section in the least busy one. All threads see all sections,
 * because each may copy from earlier ones. The result equals that of one compressor.
 */
export function createCompressorPool(thoroughness: Thoroughness): CompressorPool {
  const threads = Array.from({ length: THREADS }, () => ({
    thread: openThread(compressorThread),
    /** Bytes in work. */
    pending: 0,
  }));
  // overwritten when all threads are done: the garbage collector would keep it for long
  const memories: Promise<SharedArrayBuffer | undefined>[] = Array.from({ length: CONCURRENCY }, () =>
    Promise.resolve(undefined),
  );

  /** Assigns the kinds, the largest first, each to the thread with least work. */
  function shareOut(windows: readonly Sections[]) {
    const shares = threads.map((owner) => ({ owner, size: 0, kinds: [] as SectionName[] }));
    const left = ({ owner, size }: (typeof shares)[number]) => owner.pending + size;
    const sizes = SECTIONS.map(
      (kind) => [kind, windows.reduce((sum, { [kind]: { length } }) => sum + length, 0)] as const,
    );
    for (const [kind, size] of sizes.toSorted(([, a], [, b]) => b - a)) {
      const share = shares.reduce((one, other) => (left(other) < left(one) ? other : one));
      share.size += size;
      share.kinds.push(kind);
    }
    return shares;
  }

  async function compress(windows: readonly Sections[], memory: SharedArrayBuffer): Promise<Sections[]> {
    const shares = shareOut(windows);
    const sections = columnsOf(windows, memory);
    const parts = shares.map(async ({ owner, size, kinds: mine }) => {
      owner.pending += size;
      try {
        return await owner.thread.call({ thoroughness, sections, mine });
      } finally {
        owner.pending -= size;
      }
    });
    return windowsOf(Object.assign({}, ...(await Promise.all(parts))) as SectionColumns);
  }

  return {
    concurrency: CONCURRENCY,
    async compress(windows) {
      const size = windows.reduce((sum, sections) => sum + sizeOf(sections), 0);
      const free = memories.shift()!;
      const memory = free.then((used) =>
        used && used.byteLength >= size ? used : new SharedArrayBuffer(size + SPARE),
      );
      const compressed = memory.then((memory) => compress(windows, memory));
      const done = compressed.then(() => memory);
      // awaited below: until then a rejection must not count as unhandled
      done.catch(() => undefined);
      memories.push(done);
      return await compressed;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map(({ thread }) => thread[Symbol.asyncDispose]()));
    },
  };
}

/** Moves the sections of windows to shared memory, one after the other. */
function columnsOf(windows: readonly Sections[], memory: SharedArrayBuffer): SectionColumns {
  let at = 0;
  const move = (bytes: Uint8Array): Uint8Array => {
    const place = new Uint8Array(memory, at, bytes.length);
    place.set(bytes);
    at += bytes.length;
    // the garbage collector does not see the size of this memory
    (bytes.buffer as ArrayBuffer).transfer(0);
    return place;
  };
  return {
    data: windows.map(({ data }) => move(data)),
    instructions: windows.map(({ instructions }) => move(instructions)),
    addresses: windows.map(({ addresses }) => move(addresses)),
  };
}

function windowsOf({ data, instructions, addresses }: SectionColumns): Sections[] {
  return data.map((_, i) => ({
    data: data[i]!,
    instructions: instructions[i]!,
    addresses: addresses[i]!,
  }));
}
