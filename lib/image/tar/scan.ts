import { Buffer } from 'node:buffer';
import type { TarEvent } from './entry.ts';
import { refuseLimit } from './header.ts';
import { createEntryReader, refuseTruncated, type ScanOptions, type TarInput } from './reader.ts';

/** The bytes of a tar in chunks of any size. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Reads a tar: each entry, then its stored content as views of the given chunks. Reads the chunks to their end and,
 * like container engines, ignores bytes after the end of the tar.
 *
 * @throws PanamaxError `bad-input` for a damaged or truncated tar, `limit`; and errors of `chunks`
 */
export async function* scanTar(chunks: Chunks, options: ScanOptions): AsyncGenerator<TarEvent, void, void> {
  const { where } = options;
  const input = chunkInput(chunks, options);
  try {
    const nextEntry = createEntryReader(input, options);
    for (let entry = await nextEntry(); entry; entry = await nextEntry()) {
      yield { kind: 'entry', entry };
      const bodyEnd = entry.bodyOffset + entry.bodySize;
      for (let at = entry.bodyOffset; at < entry.end; at = input.position()) {
        const data = await input.piece((at < bodyEnd ? bodyEnd : entry.end) - at);
        if (data.length === 0) {
          // the last entry may lack its padding
          if (at >= bodyEnd) break;
          refuseTruncated({ where, ...entry }, entry.bodySize, at - entry.bodyOffset);
        }
        if (at < bodyEnd) yield { kind: 'data', entry, data };
      }
    }
    while ((await input.piece(Infinity)).length > 0);
  } finally {
    await input.close();
  }
}

interface ChunkInput extends TarInput {
  /** One to `max` next bytes, as many as the current chunk has; none at the end of the input. */
  piece(max: number): Promise<Buffer>;
  close(): Promise<void>;
}

const NO_BYTES = Buffer.alloc(0);

function chunkInput(chunks: Chunks, { limits, where }: ScanOptions): ChunkInput {
  const iterator =
    Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  let chunk = NO_BYTES;
  let used = 0;
  let position = 0;
  let received = 0;
  let done = false;

  /** Takes the next chunk that is not empty. @returns false at the end of the input */
  async function refill(): Promise<boolean> {
    while (!done) {
      const next = await iterator.next();
      if (next.done) {
        done = true;
        break;
      }
      const { buffer, byteOffset, byteLength } = next.value;
      chunk = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
      used = 0;
      received += byteLength;
      if (received > limits.maxImageSize) {
        const place = { where, offset: position, path: '' };
        refuseLimit(place, 'tar is over maxImageSize', limits.maxImageSize, received);
      }
      if (byteLength > 0) return true;
    }
    return false;
  }

  function cut(size: number): Buffer {
    const piece = chunk.subarray(used, used + size);
    used += size;
    position += size;
    return piece;
  }

  async function gather(size: number): Promise<Buffer> {
    const whole = Buffer.allocUnsafe(size);
    let filled = 0;
    while (filled < size && (used < chunk.length || (await refill()))) {
      filled += cut(Math.min(size - filled, chunk.length - used)).copy(whole, filled);
    }
    return whole.subarray(0, filled);
  }

  return {
    position: () => position,
    take: (size) => (chunk.length - used >= size ? cut(size) : gather(size)),
    async piece(max) {
      if (used === chunk.length && !(await refill())) return NO_BYTES;
      return cut(Math.min(max, chunk.length - used));
    },
    async close() {
      if (!done) await iterator.return?.();
    },
  };
}
