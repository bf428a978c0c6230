import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, truncate } from 'node:fs/promises';
import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import { statIfThere, writeAll } from '../../runtime/file.ts';
import type { StoreReader } from '../../store/objects/store.ts';

/** The part of a store's interface that a download uses; a registry's blobs have it, too. */
export type Blobs = Pick<StoreReader, 'where' | 'open'>;

export interface Wanted {
  readonly key: string;
  readonly size: number;
  readonly digest: Digest;
}

/**
 * Downloads an object to a file, continuing after the bytes that an earlier start has left there. The file then has
 * the wanted size and digest.
 *
 * @throws PanamaxError `bad-patch` if the object differs, then the file is emptied; the store's errors, then the
 *   received bytes are kept
 */
export async function download(
  reader: Blobs,
  wanted: Wanted,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const begun = (await statIfThere(path))?.size ?? 0;
  if (begun > 0 && begun <= wanted.size) {
    const found = await fill(reader, wanted, path, begun, signal);
    if (found === wanted.digest) return;
    // the kept bytes may be damaged by a loss of power, or be of an object that was replaced: start anew
  }
  if (begun > 0) await truncate(path);
  const found = await fill(reader, wanted, path, 0, signal);
  if (found === wanted.digest) return;
  await truncate(path);
  throw wrong(wanted, wanted.digest, found, reader);
}

/** Appends the object's bytes from `start`. @returns the digest of the whole file */
async function fill(
  reader: Blobs,
  wanted: Wanted,
  path: string,
  start: number,
  signal: AbortSignal,
): Promise<Digest> {
  const hash = createHash('sha256');
  let size = 0;
  const pass = (piece: Uint8Array) => {
    signal.throwIfAborted();
    size += piece.length;
    hash.update(piece);
  };
  if (start > 0) {
    for await (const piece of createReadStream(path, { end: start - 1 })) pass(piece as Buffer);
  }
  if (size < wanted.size) {
    await using file = await open(path, 'a', 0o600);
    for await (const piece of await reader.open(wanted.key, size)) {
      if (size + piece.length > wanted.size) {
        await file.truncate();
        throw wrong(wanted, `${wanted.size} bytes`, 'more', reader);
      }
      pass(piece);
      await writeAll(file, piece);
    }
  }
  if (size < wanted.size) {
    await truncate(path);
    throw wrong(wanted, `${wanted.size} bytes`, `${size} bytes`, reader);
  }
  return `sha256:${hash.digest('hex')}`;
}

function wrong({ key }: Wanted, expected: string, found: string, { where }: Blobs): PanamaxError {
  const facts = { expected, found, where: `${where} ${key}` };
  return new PanamaxError('bad-patch', 'patch is not the one that the index names', facts);
}
