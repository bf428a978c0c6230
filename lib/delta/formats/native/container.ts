import { crc32 } from 'node:zlib';
import { PanamaxError } from '../../../errors.ts';
import type { PatchReader } from '../../patchreader.ts';
import type { StoredRecipe } from './recipecoder.ts';
import { CODINGS } from './streamcoder.ts';

/** The frame of a patch: a header, then batches, each with its sections (docs/formats.md). */

export const MAGIC = Buffer.from('\x89PMX', 'latin1');
export const VERSION = 5;

/** Bits of the coding of streams, below that of the recipe. */
const CODING_BITS = 2;

const MAX_RECIPE = 16 * 1024 ** 2;
const MAX_SECTION = 16 * 1024 ** 2;

export interface PatchHeader {
  /** How streams are compressed. */
  readonly coding: number;
  readonly recipe: StoredRecipe;
  /** Members of the source that are inflated, coded. */
  readonly members: Uint8Array;
}

export function writePatchHeader({ coding, recipe, members }: PatchHeader): Uint8Array {
  return withChecksum([
    MAGIC,
    Uint8Array.of(VERSION, coding | (recipe.coding << CODING_BITS)),
    varint(recipe.bytes.length),
    recipe.bytes,
    varint(members.length),
    members,
  ]);
}

function withChecksum(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat([...parts, Buffer.alloc(4)]);
  const end = bytes.length - 4;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end);
  return bytes;
}

/** The head of a batch. */
export function writeDescription(description: Uint8Array): Uint8Array {
  return writeHead(withChecksum([description]));
}

/** @returns the description of the next batch; undefined at the end of the patch @throws PanamaxError `bad-patch` */
export async function readDescription(reader: PatchReader): Promise<Uint8Array | undefined> {
  const bytes = await readHead(reader);
  if (!bytes) return undefined;
  const end = bytes.length - 4;
  const description = bytes.subarray(0, Math.max(0, end));
  if (end < 0 || Buffer.from(bytes).readUInt32LE(end) !== crc32(description)) {
    throw new PanamaxError('bad-patch', 'wrong checksum of a description');
  }
  return description;
}

/** @throws PanamaxError `bad-patch` */
export async function readPatchHeader(reader: PatchReader): Promise<PatchHeader> {
  const start = await reader.take(MAGIC.length + 2);
  if (Buffer.compare(start.subarray(0, MAGIC.length), MAGIC) !== 0) {
    throw new PanamaxError('bad-patch', 'not a patch of the format panamax');
  }
  const [version, codings] = start.subarray(MAGIC.length);
  if (version !== VERSION) {
    throw new PanamaxError('bad-patch', 'unknown version', { expected: VERSION, found: version! });
  }
  const coding = codings! & ((1 << CODING_BITS) - 1);
  const recipeCoding = codings! >> CODING_BITS;
  if (coding >= CODINGS || recipeCoding > 1) {
    throw new PanamaxError('bad-patch', 'an unknown coding', { found: codings! });
  }
  const stored = await reader.take(await readVarint(reader, MAX_RECIPE));
  const members = await reader.take(await readVarint(reader, MAX_SECTION));
  const parts = [start, varint(stored.length), stored, varint(members.length), members];
  const found = parts.reduce((sum, part) => crc32(part, sum), 0);
  const checksum = Buffer.from(await reader.take(4)).readUInt32LE();
  if (found !== checksum) throw new PanamaxError('bad-patch', 'wrong checksum of the header');
  return { coding, recipe: { coding: recipeCoding, bytes: stored }, members };
}

/** @param description of a batch or of a section; undefined for the end of the patch */
export function writeHead(description?: Uint8Array): Uint8Array {
  return description ? Buffer.concat([varint(description.length + 1), description]) : varint(0);
}

/** @returns the next description; undefined at the end of the patch @throws PanamaxError `bad-patch` */
export async function readHead(reader: PatchReader): Promise<Uint8Array | undefined> {
  const size = await readVarint(reader, MAX_SECTION);
  if (size > 0) return reader.take(size - 1);
  if ((await reader.fill(1)) > 0) throw new PanamaxError('bad-patch', 'bytes behind the end of the patch');
  return undefined;
}

/** Seven bits in a byte, the lowest first; the highest bit says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return Uint8Array.from([...bytes, left]);
}

async function readVarint(reader: PatchReader, most: number): Promise<number> {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    await reader.fill(1);
    const byte = reader.byte();
    value += (byte & 127) * scale;
    if (value > most || scale > 2 ** 35) {
      throw new PanamaxError('bad-patch', 'a number out of bounds', {
        expected: `at most ${most}`,
        found: value,
      });
    }
    if (byte < 128) return value;
  }
}
