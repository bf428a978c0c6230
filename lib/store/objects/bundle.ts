import { openArchive } from '../../image/archive.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import { checkKey, MAX_DOCUMENT_SIZE, type StoreReader } from './store.ts';
import { PanamaxError } from '../../errors.ts';

/**
 * Opens a bundle for reading: a plain tar whose entries are named by their keys.
 *
 * @throws PanamaxError `bad-input` for anything but a plain tar
 */
export async function openBundle(path: string): Promise<StoreReader> {
  const archive = await openArchive(path, { ...DEFAULT_LIMITS, maxDocumentSize: MAX_DOCUMENT_SIZE });
  return {
    where: path,
    async get(key) {
      checkKey(key);
      return archive.has(key) ? archive.readDocument(key) : undefined;
    },
    async open(key, offset = 0) {
      checkKey(key);
      if (!archive.has(key))
        throw new PanamaxError('not-found', 'no such object', { where: `${path} ${key}` });
      return behind(archive.open(key), offset);
    },
  };
}

async function* behind(
  pieces: AsyncIterable<Uint8Array>,
  offset: number,
): AsyncGenerator<Uint8Array, void, void> {
  let left = offset;
  for await (const piece of pieces) {
    if (left < piece.length) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}
