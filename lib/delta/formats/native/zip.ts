import type { Space } from '../../../runtime/space.ts';

/** Members of zip archives (APPNOTE 6.3.10): .zip, .jar, .war, .whl, .nupkg. Anything unexpected ends the list. */

export interface ZipMember {
  readonly name: string;
  readonly isDeflated: boolean;
  /** Of its bytes in the space. */
  readonly at: number;
  readonly stored: number;
  /** As the archive tells it. */
  readonly size: number;
}

const END = 0x06054b50;
const END_SIZE = 22;
const MAX_COMMENT = 2 ** 16;
const ENTRY = 0x02014b50;
const ENTRY_SIZE = 46;
const LOCAL = 0x04034b50;
const LOCAL_SIZE = 30;
const MAX_DIRECTORY = 16 * 1024 ** 2;
const STORED = 0;
const DEFLATED = 8;
const IS_ENCRYPTED = 1;
/** Numbers of zip64 are elsewhere. */
const ELSEWHERE = 0xffffffff;

/** Lists the members of an archive at an offset in the order of its directory; none where it is no archive. */
export function* zipMembers(space: Space, start: number, size: number): Generator<ZipMember, void> {
  const tail = readAt(
    space,
    start + Math.max(0, size - END_SIZE - MAX_COMMENT),
    Math.min(size, END_SIZE + MAX_COMMENT),
  );
  const end = lastEnd(tail);
  if (end < 0) return;
  const count = tail.readUInt16LE(end + 10);
  const directorySize = tail.readUInt32LE(end + 12);
  const directoryAt = tail.readUInt32LE(end + 16);
  if (directorySize > MAX_DIRECTORY || directoryAt + directorySize > size) return;
  const directory = readAt(space, start + directoryAt, directorySize);
  for (let i = 0, at = 0; i < count && at + ENTRY_SIZE <= directory.length; i++) {
    if (directory.readUInt32LE(at) !== ENTRY) return;
    const flags = directory.readUInt16LE(at + 8);
    const method = directory.readUInt16LE(at + 10);
    const stored = directory.readUInt32LE(at + 20);
    const content = directory.readUInt32LE(at + 24);
    const nameEnd = at + ENTRY_SIZE + directory.readUInt16LE(at + 28);
    const local = directory.readUInt32LE(at + 42);
    const name = directory.toString('latin1', at + ENTRY_SIZE, nameEnd);
    at = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    if ((flags & IS_ENCRYPTED) !== 0 || (method !== STORED && method !== DEFLATED)) continue;
    if (stored === ELSEWHERE || content === ELSEWHERE || local + LOCAL_SIZE + stored > size) continue;
    const head = readAt(space, start + local, LOCAL_SIZE);
    if (head.readUInt32LE(0) !== LOCAL) continue;
    const body = local + LOCAL_SIZE + head.readUInt16LE(26) + head.readUInt16LE(28);
    if (body + stored > size) continue;
    yield { name, isDeflated: method === DEFLATED, at: start + body, stored, size: content };
  }
}

function lastEnd(tail: Buffer): number {
  for (let at = tail.length - END_SIZE; at >= 0; at--) {
    if (tail.readUInt32LE(at) === END && at + END_SIZE + tail.readUInt16LE(at + 20) === tail.length)
      return at;
  }
  return -1;
}

function readAt(space: Space, at: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  space.read(bytes, at);
  return bytes;
}
