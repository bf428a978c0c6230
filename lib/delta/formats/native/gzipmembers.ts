import { createHash } from 'node:crypto';
import { gzipHeaderSize } from '../../../compression/gzip.ts';
import { MAX_MEMBER, MAX_RATIO } from './batch.ts';
import type { StoredFile } from './contents.ts';
import { compressMember, inflated, MEMBER_CODECS, TRAILER_SIZE } from './member.ts';
import type { Space } from './space.ts';

/** A gzip member of a layer stream, inflated. */
export interface Inflated {
  /** Of the DEFLATE stream in the layer stream. */
  readonly at: number;
  /** Of the DEFLATE stream and its trailer, in bytes. */
  readonly stored: number;
  /** Of the trailer. */
  readonly trailer: number;
  readonly path: string;
  readonly content: Buffer;
  /** The codec that makes the member again; for members of the target only. */
  readonly codec: number;
}

/** Compressed and inflated sizes beyond which a member stays as it is. */
const MAX_STORED = 2 * 1024 ** 2;
/** Inflated bytes of either side at most. */
const MAX_INFLATED = 128 * 1024 ** 2;

/** Members that only one side has, and their likes of the other side. */
export interface MemberPairs {
  readonly source: readonly Inflated[];
  readonly target: readonly Inflated[];
}

/** Finds gzip members of the target that the source does not have, and those of the source at the same paths. */
export function findMembers(
  sourceSpace: Space,
  sourceFiles: readonly StoredFile[],
  targetSpace: Space,
  targetFiles: readonly StoredFile[],
): MemberPairs {
  const candidates = sourceFiles.filter(isCandidate);
  const known = new Set(candidates.map((file) => digest(readFile(sourceSpace, file))));
  const target: Inflated[] = [];
  const families = new Set<string>();
  let total = 0;
  let codec: number | undefined;
  for (const file of targetFiles.filter(isCandidate)) {
    const bytes = readFile(targetSpace, file);
    if (known.has(digest(bytes))) continue;
    const found = inflate(file, bytes);
    if (!found || total + found.content.length > MAX_INFLATED) continue;
    codec = codecOf(bytes.subarray(-found.stored), found.content, codec);
    if (codec === undefined) continue;
    total += found.content.length;
    target.push({ ...found, codec });
    families.add(familyOf(file.path));
  }
  const source: Inflated[] = [];
  total = 0;
  for (const file of candidates) {
    if (!families.has(familyOf(file.path))) continue;
    const found = inflate(file, readFile(sourceSpace, file));
    if (!found || total + found.content.length > MAX_INFLATED) continue;
    total += found.content.length;
    source.push(found);
  }
  return { source, target };
}

function isCandidate({ kind, size }: StoredFile): boolean {
  return kind === 'gzip' && size <= MAX_STORED;
}

function readFile(space: Space, { offset, size }: StoredFile): Buffer {
  const bytes = Buffer.alloc(size);
  space.read(bytes, offset);
  return bytes;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}

/** The path without version numbers. */
function familyOf(path: string): string {
  return path.replace(/\d+/g, '0');
}

/** @returns undefined unless the file is a single member within the size limits */
function inflate(file: StoredFile, bytes: Buffer): Inflated | undefined {
  const header = gzipHeaderSize(bytes);
  if (header === undefined || bytes.length < header + TRAILER_SIZE) return undefined;
  const content = inflated(bytes.subarray(header, -TRAILER_SIZE), MAX_MEMBER);
  // a reader bounds the inflated size of a target
  if (!content || content.length === 0 || content.length > MAX_RATIO * bytes.length) return undefined;
  return {
    at: file.offset + header,
    stored: file.size - header,
    trailer: TRAILER_SIZE,
    path: file.path,
    content,
    codec: 0,
  };
}

/** @param first tried before the others */
function codecOf(stored: Uint8Array, content: Uint8Array, first = 0): number | undefined {
  const others = MEMBER_CODECS.keys().filter((codec) => codec !== first);
  for (const codec of [first, ...others]) {
    if (Buffer.compare(compressMember(content, codec), stored) === 0) return codec;
  }
  return undefined;
}
