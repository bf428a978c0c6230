import type { StoreReader } from '../../store/objects/store.ts';

/** Wraps a reader to count the bytes that it returns. */
export function countBytes(reader: StoreReader, onBytes: (count: number) => void): StoreReader {
  async function* count(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of pieces) {
      onBytes(piece.length);
      yield piece;
    }
  }
  return {
    where: reader.where,
    async get(key) {
      const bytes = await reader.get(key);
      onBytes(bytes?.length ?? 0);
      return bytes;
    },
    open: async (key, offset) => count(await reader.open(key, offset)),
  };
}
