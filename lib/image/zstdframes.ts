import { PanamaxError } from '../errors.ts';

/** Magic numbers, little-endian (RFC 8878, sections 3.1.1 and 3.1.2). */
const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const RLE_BLOCK = 1;
const COMPRESSED_BLOCK = 2;
const RESERVED_BLOCK = 3;
/** The largest window of Node's decompressor, in bytes; `zstd --long` makes such windows. */
const MAX_WINDOW = 128 * 1024 ** 2;

/** A frame without content, for streams that have skippable frames only. */
const EMPTY_FRAME = Buffer.from('28b52ffd2000010000', 'hex');

/**
 * Splits the chunks of a zstd stream at the start of each frame, because Node's decompressor ignores the rest of a
 * chunk after the end of a frame. Podman (zstd:chunked) and parallel compressors write layers of many frames. Skippable
 * frames are left out: they have no content, and each piece costs the decompressor a call.
 *
 * @param check is told the size of the content that is certain so far, before the bytes that hold it are given out. A
 *   few bytes of headers can stand for gigabytes.
 * @throws PanamaxError `bad-input` for a stream that ends within a frame, or has bytes between frames; `limit` for a
 *   window over 128 MiB; and errors of `check`
 */
export async function* splitFrames(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
  check: (contentSize: number) => void = () => {},
): AsyncGenerator<Uint8Array, void, void> {
  const walk = walkFrames(where, check);
  let part: Part = walk.next().value;
  let taken: number[] = [];
  let left = part.size;
  let hasContent = false;
  let isEmpty = true;
  for await (const chunk of chunks) {
    let start = 0;
    if (chunk.length > 0) isEmpty = false;
    for (let at = 0; at < chunk.length;) {
      const end = Math.min(at + left, chunk.length);
      if (part.isRead) taken.push(...chunk.subarray(at, end));
      left -= end - at;
      at = end;
      while (left === 0) {
        const bytes = Buffer.from(taken);
        const { isFrameStart: wasMagic, isSkippable: wasSkippable } = part;
        part = walk.next(bytes).value;
        taken = [];
        left = part.size;
        if (wasMagic && !part.isSkippable) {
          hasContent = true;
          // a magic number is held back until it is whole
          if (at < bytes.length) yield bytes.subarray(0, bytes.length - at);
          start = Math.max(0, at - bytes.length);
        }
        if (!part.isFrameStart) continue;
        if (!wasSkippable) yield chunk.subarray(start, at);
        start = at;
      }
    }
    if (start < chunk.length && !part.isFrameStart && !part.isSkippable) yield chunk.subarray(start);
  }
  if (!part.isFrameStart || left < part.size) throw damaged('ends within a frame', where);
  if (!hasContent && !isEmpty) yield EMPTY_FRAME;
}

/** The next bytes of a stream: to be read or to be skipped. */
interface Part {
  readonly size: number;
  readonly isRead: boolean;
  readonly isFrameStart: boolean;
  readonly isSkippable: boolean;
}

const INNER = { isFrameStart: false, isSkippable: false };
const read = (size: number): Part => ({ ...INNER, size, isRead: true });
const skip = (size: number): Part => ({ ...INNER, size, isRead: false });

/** Yields the parts of a stream in order. `next` takes the bytes of a part that is read. */
function* walkFrames(where: string, check: (contentSize: number) => void): Generator<Part, never, Buffer> {
  let certain = 0;
  for (;;) {
    const magic = (yield { ...read(4), isFrameStart: true }).readUInt32LE();
    if ((magic & ~0xf) >>> 0 === SKIPPABLE_MAGIC) {
      const size = (yield { ...read(4), isSkippable: true }).readUInt32LE();
      yield { ...skip(size), isSkippable: true };
      continue;
    }
    if (magic !== FRAME_MAGIC) throw damaged('has bytes between frames', where);
    const descriptor = (yield read(1))[0]!;
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const window = isSingleSegment ? 0 : windowSizeOf((yield read(1))[0]!);
    yield skip([0, 1, 2, 4][descriptor & 3]!);
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
    const contentSize = sizeBytes === 0 ? undefined : contentSizeOf(yield read(sizeBytes));
    checkWindow(isSingleSegment ? contentSize! : window, where);
    if (contentSize !== undefined) check((certain += contentSize));
    for (let isLast = false; !isLast;) {
      const header = (yield read(3)).readUIntLE(0, 3);
      isLast = (header & 1) === 1;
      const type = (header >> 1) & 3;
      if (type === RESERVED_BLOCK) throw damaged('has a block of a reserved type', where);
      if (contentSize === undefined && type !== COMPRESSED_BLOCK) check((certain += header >> 3));
      yield skip(type === RLE_BLOCK ? 1 : header >> 3);
    }
    yield skip(descriptor & 4 ? 4 : 0);
  }
}

/** RFC 8878, section 3.1.1.1.2. */
function windowSizeOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** RFC 8878, section 3.1.1.1.4. */
function contentSizeOf(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

function checkWindow(size: number, where: string): void {
  if (size <= MAX_WINDOW) return;
  throw new PanamaxError('limit', 'zstd window is too large', {
    expected: `at most ${MAX_WINDOW} bytes`,
    found: size,
    where,
  });
}

function damaged(what: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', `damaged compressed layer: zstd stream ${what}`, { where });
}
