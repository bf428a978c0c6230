import { gzipHeaderSize } from '../../../compression/gzip.ts';
import type { StoredFile } from './contents.ts';
import { AUX_CACHE, DEFLATE, TRAILER_SIZE } from './member.ts';
import type { Space } from '../../../runtime/space.ts';
import { zipMembers } from './zip.ts';

/** Files of a layer stream that are told by their contents, and such members of archives. */

export interface Packed {
  /** DEFLATE or AUX_CACHE. */
  readonly form: number;
  /** In the layer stream. */
  readonly at: number;
  /** Bytes with gzip's trailer, and of the trailer. */
  readonly stored: number;
  readonly trailer: number;
  /** Content is matched with that of the same path. */
  readonly path: string;
  /** The place that holds it. One encoder made all members of a place. */
  readonly place: string;
}

/** Larger streams stay as they are, in bytes. */
const MAX_STORED = 2 * 1024 ** 2;
/** Of gzip's header with its name and comment. */
const MAX_HEADER = 4096;
/** Archives in archives in archives. */
const MAX_DEPTH = 3;
const MIN_ARCHIVE = 22;

/** Lists the streams of some files, ascending and without overlaps. */
export function listPacked(space: Space, files: readonly StoredFile[]): Packed[] {
  const found: Packed[] = [];
  for (const file of files) {
    if (file.kind === 'gzip') found.push(...gzipStream(space, file));
    else if (file.kind === 'auxcache') found.push(...auxCache(file));
    else if (file.kind === 'zip') found.push(...zipStreams(space, file, familyOf(file.path), 1));
  }
  found.sort((a, b) => a.at - b.at || a.stored - b.stored);
  let end = 0;
  return found.filter(({ at, stored }) => {
    if (at < end) return false;
    end = at + stored;
    return true;
  });
}

function* gzipStream(space: Space, { offset, size, path }: StoredFile): Generator<Packed, void> {
  if (size > MAX_STORED) return;
  const head = Buffer.alloc(Math.min(size, MAX_HEADER));
  space.read(head, offset);
  const header = gzipHeaderSize(head);
  if (header === undefined || size <= header + TRAILER_SIZE) return;
  const at = offset + header;
  yield { form: DEFLATE, at, stored: size - header, trailer: TRAILER_SIZE, path, place: '' };
}

function* auxCache({ offset, size, path }: StoredFile): Generator<Packed, void> {
  if (size > MAX_STORED) return;
  yield { form: AUX_CACHE, at: offset, stored: size, trailer: 0, path, place: '' };
}

function* zipStreams(
  space: Space,
  { offset, size }: Pick<StoredFile, 'offset' | 'size'>,
  place: string,
  depth: number,
): Generator<Packed, void> {
  for (const { name, isDeflated, at, stored } of zipMembers(space, offset, size)) {
    const path = `${place}!/${name}`;
    if (isDeflated) {
      if (stored > 0 && stored <= MAX_STORED) yield { form: DEFLATE, at, stored, trailer: 0, path, place };
    } else if (depth < MAX_DEPTH && stored >= MIN_ARCHIVE) {
      yield* zipStreams(space, { offset: at, size: stored }, familyOf(path), depth + 1);
    }
  }
}

/** The path without version numbers. */
export function familyOf(path: string): string {
  return path.replace(/\d+/g, '0');
}
