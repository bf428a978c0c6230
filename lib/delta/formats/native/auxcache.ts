/**
 * The auxiliary cache of ldconfig (glibc, elf/cache.c), which images of Debian and others keep in
 * /var/cache/ldconfig/aux-cache. It lists libraries by a hash of their inodes and times of change: each build of an image
 * orders it anew. Its content is told here in an order that lasts: inodes and times by rank, libraries by name.
 */

const MAGIC = Buffer.from('glibc-ld.so.auxcache-2.0');
const HEADER_SIZE = MAGIC.length + 8;
const ENTRY_SIZE = 48;
/** Sizes of the hash table that ldconfig chooses from. */
const TABLE_SIZES = [1021n, 2039n, 4093n, 8191n, 16381n, 32749n, 65521n, 131071n, 262139n, 524287n];
const MASK = 2n ** 64n - 1n;
/** Of an inode and a time of change. */
const ROW_SIZE = 16;
/** Of a library, before its name: rank, size, device, flags, version, place among those of one hash. */
const FIXED_SIZE = 29;

interface Library {
  inode: bigint;
  changed: bigint;
  readonly size: bigint;
  readonly device: bigint;
  readonly flags: number;
  readonly version: number;
  readonly name: Buffer;
  /** Among libraries of the same hash. */
  order: number;
}

export function isAuxCache(head: Uint8Array): boolean {
  return Buffer.compare(head.subarray(0, MAGIC.length), MAGIC) === 0;
}

/** The content of a cache in the order that lasts; undefined unless `auxCacheOf` makes the same cache of it. */
export function auxCacheContent(cache: Buffer): Buffer | undefined {
  try {
    const content = contentOf(cache);
    return content && cache.equals(auxCacheOf(content)) ? content : undefined;
  } catch {
    return undefined;
  }
}

function contentOf(cache: Buffer): Buffer | undefined {
  if (!isAuxCache(cache)) return undefined;
  const count = cache.readUInt32LE(MAGIC.length);
  const strings = HEADER_SIZE + count * ENTRY_SIZE;
  if (strings + cache.readUInt32LE(MAGIC.length + 4) !== cache.length) return undefined;
  const libraries: Library[] = [];
  const gaps = Buffer.alloc(4 * count);
  for (let i = 0; i < count; i++) {
    const entry = cache.subarray(HEADER_SIZE + i * ENTRY_SIZE, HEADER_SIZE + (i + 1) * ENTRY_SIZE);
    const nameAt = strings + entry.readUInt32LE(36);
    libraries.push({
      inode: entry.readBigUInt64LE(0),
      changed: entry.readBigUInt64LE(8),
      size: entry.readBigUInt64LE(16),
      device: entry.readBigUInt64LE(24),
      flags: entry.readUInt32LE(32),
      version: entry.readUInt32LE(40),
      name: nameAt === strings ? Buffer.alloc(0) : cache.subarray(nameAt, cache.indexOf(0, nameAt)),
      order: 0,
    });
    // memory that ldconfig does not set
    entry.copy(gaps, 4 * i, 44);
  }
  const tableSize = TABLE_SIZES.findIndex((size) => isInOrder(libraries, size));
  if (tableSize < 0) return undefined;
  for (const [i, library] of libraries.entries()) {
    const before = libraries[i - 1];
    if (before && slotOf(before, TABLE_SIZES[tableSize]!) === slotOf(library, TABLE_SIZES[tableSize]!)) {
      library.order = before.order + 1;
    }
  }
  const byInode = libraries.toSorted((a, b) => compare(a.inode, b.inode) || compare(a.changed, b.changed));
  const rows = Buffer.alloc(ROW_SIZE * count);
  let [inode, changed] = [0n, 0n];
  for (const [i, library] of byInode.entries()) {
    rows.writeBigUInt64LE((library.inode - inode) & MASK, ROW_SIZE * i);
    rows.writeBigUInt64LE((library.changed - changed) & MASK, ROW_SIZE * i + 8);
    ({ inode, changed } = library);
  }
  const ranks = new Map(byInode.map((library, i) => [library, i]));
  const byName = libraries.toSorted(
    (a, b) => Buffer.compare(a.name, b.name) || compare(a.size, b.size) || ranks.get(a)! - ranks.get(b)!,
  );
  const header = Buffer.from(cache.subarray(0, HEADER_SIZE));
  const named = byName.map((library) => libraryBytes(library, ranks.get(library)!));
  return Buffer.concat([header, Buffer.of(tableSize), gaps, rows, ...named]);
}

function libraryBytes({ size, device, flags, version, order, name }: Library, rank: number): Buffer {
  const bytes = Buffer.alloc(FIXED_SIZE + name.length + 1);
  bytes.writeUInt32LE(rank, 0);
  bytes.writeBigUInt64LE(size, 4);
  bytes.writeBigUInt64LE(device, 12);
  bytes.writeUInt32LE(flags, 20);
  bytes.writeUInt32LE(version, 24);
  bytes.writeUInt8(order, 28);
  name.copy(bytes, FIXED_SIZE);
  return bytes;
}

/** The cache of a content. @throws RangeError for other bytes */
export function auxCacheOf(content: Buffer): Buffer {
  const count = content.readUInt32LE(MAGIC.length);
  if (count * (4 + ROW_SIZE + FIXED_SIZE) > content.length) throw new RangeError('too many libraries');
  const size = TABLE_SIZES[content.readUInt8(HEADER_SIZE)];
  if (size === undefined) throw new RangeError('no such table');
  const gaps = HEADER_SIZE + 1;
  const rows = gaps + 4 * count;
  const times: { readonly inode: bigint; readonly changed: bigint }[] = [];
  let [inode, changed] = [0n, 0n];
  for (let at = rows; at < rows + ROW_SIZE * count; at += ROW_SIZE) {
    inode = (inode + content.readBigUInt64LE(at)) & MASK;
    changed = (changed + content.readBigUInt64LE(at + 8)) & MASK;
    times.push({ inode, changed });
  }
  const libraries: { readonly library: Library; readonly slot: bigint }[] = [];
  for (let i = 0, at = rows + ROW_SIZE * count; i < count; i++) {
    const time = times[content.readUInt32LE(at)];
    const end = content.indexOf(0, at + FIXED_SIZE);
    if (!time || end < 0) throw new RangeError('a library out of bounds');
    const library = {
      ...time,
      size: content.readBigUInt64LE(at + 4),
      device: content.readBigUInt64LE(at + 12),
      flags: content.readUInt32LE(at + 20),
      version: content.readUInt32LE(at + 24),
      order: content.readUInt8(at + 28),
      name: content.subarray(at + FIXED_SIZE, end),
    };
    libraries.push({ library, slot: slotOf(library, size) });
    at = end + 1;
  }
  libraries.sort((a, b) => compare(a.slot, b.slot) || a.library.order - b.library.order);
  return Buffer.concat([
    content.subarray(0, HEADER_SIZE),
    ...entriesOf(
      libraries.map(({ library }) => library),
      content.subarray(gaps, rows),
    ),
  ]);
}

function* entriesOf(libraries: readonly Library[], gaps: Buffer): Generator<Buffer, void> {
  let nameAt = 1;
  for (const [i, { inode, changed, size, device, flags, version, name }] of libraries.entries()) {
    const entry = Buffer.alloc(ENTRY_SIZE);
    entry.writeBigUInt64LE(inode, 0);
    entry.writeBigUInt64LE(changed, 8);
    entry.writeBigUInt64LE(size, 16);
    entry.writeBigUInt64LE(device, 24);
    entry.writeUInt32LE(flags, 32);
    entry.writeUInt32LE(name.length === 0 ? 0 : nameAt, 36);
    entry.writeUInt32LE(version, 40);
    gaps.copy(entry, 44, 4 * i, 4 * i + 4);
    if (name.length > 0) nameAt += name.length + 1;
    yield entry;
  }
  yield Buffer.alloc(1);
  for (const { name } of libraries) if (name.length > 0) yield Buffer.concat([name, Buffer.alloc(1)]);
}

function isInOrder(libraries: readonly Library[], size: bigint): boolean {
  let last = 0n;
  return libraries.every((library) => {
    const slot = slotOf(library, size);
    const isBehind = slot >= last;
    last = slot;
    return isBehind;
  });
}

function slotOf({ inode, changed, size, device }: Omit<Library, 'order'>, tableSize: bigint): bigint {
  const hash = (((inode * 11n + changed) * 11n + size) * 11n + device) & MASK;
  return ((hash ^ (hash >> 32n)) & 0xffffffffn) % tableSize;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
