import { PanamaxError } from '../errors.ts';

/** Little-endian (RFC 8878, sections 3.1.1 and 3.1.2). */
const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/**
 * Cuts a zstd stream at the ends of its frames and leaves out skippable frames. Node's decompressor takes further
 * frames only in chunks of their own: within a chunk it stops behind the first. Layers of many frames come from
 * podman (zstd:chunked) and from parallel compressors.
 *
 * @throws PanamaxError `bad-input` for a stream that ends within a frame, or goes on with anything but a frame
 */
export async function* splitFrames(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);

  async function more(): Promise<boolean> {
    const next = await iterator.next();
    if (next.done) return false;
    rest = Buffer.concat([rest, next.value]);
    return true;
  }

  async function has(size: number): Promise<boolean> {
    while (rest.length < size) if (!(await more())) return false;
    return true;
  }

  async function take(size: number): Promise<Buffer> {
    if (!(await has(size))) throw damaged('ends within a frame', where);
    const bytes = rest.subarray(0, size);
    rest = rest.subarray(size);
    return bytes;
  }

  async function* pass(size: number): AsyncGenerator<Buffer, void, void> {
    for (let left = size; left > 0;) {
      if (rest.length === 0 && !(await more())) throw damaged('ends within a frame', where);
      const piece = await take(Math.min(left, rest.length));
      left -= piece.length;
      yield piece;
    }
  }

  try {
    while (await has(1)) {
      const magic = await take(4);
      const number = magic.readUInt32LE();
      if (number === FRAME_MAGIC) {
        yield magic;
        yield* frame(take, pass, where);
      } else if ((number & ~0xf) >>> 0 === SKIPPABLE_MAGIC) {
        for await (const _ of pass((await take(4)).readUInt32LE()));
      } else {
        throw damaged('has other bytes behind its last frame', where);
      }
    }
  } finally {
    await iterator.return?.();
  }
}

/** A frame behind its magic number: header, blocks, checksum. */
async function* frame(
  take: (size: number) => Promise<Buffer>,
  pass: (size: number) => AsyncGenerator<Buffer, void, void>,
  where: string,
): AsyncGenerator<Buffer, void, void> {
  const descriptor = await take(1);
  const flags = descriptor[0]!;
  const isSingleSegment = (flags & 0x20) !== 0;
  const windowSize = isSingleSegment ? 0 : 1;
  const dictionarySize = [0, 1, 2, 4][flags & 3]!;
  const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6]!;
  yield descriptor;
  yield* pass(windowSize + dictionarySize + contentSize);
  for (let isLast = false; !isLast;) {
    const header = await take(3);
    const value = header.readUIntLE(0, 3);
    isLast = (value & 1) === 1;
    const type = (value >> 1) & 3;
    if (type === RESERVED_BLOCK) throw damaged('has a block of a reserved type', where);
    yield header;
    yield* pass(type === RLE_BLOCK ? 1 : value >> 3);
  }
  yield* pass(flags & 4 ? 4 : 0);
}

function damaged(what: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', `damaged compressed layer: zstd stream ${what}`, { where });
}
