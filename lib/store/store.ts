/**
 * Object storage as panamax needs it. Keys are `/`-separated; every object appears whole or not at all, and a
 * put over an existing key replaces it in one step.
 */
export interface Store {
  /** Names the store in messages, without credentials. */
  readonly where: string;
  /** A document, whole. Undefined where there is none. @throws PanamaxError `limit` over 64 MiB */
  get(key: string): Promise<Buffer | undefined>;
  /** Bytes of an object. @throws PanamaxError `not-found` */
  open(key: string): Promise<AsyncIterable<Uint8Array>>;
  /** Size in bytes. Undefined where there is none. */
  stat(key: string): Promise<{ readonly size: number } | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Stores a file's content. The file stays as it is. */
  putFile(key: string, path: string): Promise<void>;
  /** Removes an object; nothing happens where there is none. */
  remove(key: string): Promise<void>;
  /** Keys under a prefix that ends with `/`, in bytewise order. */
  list(prefix: string): AsyncIterable<string>;
}

export const MAX_DOCUMENT_SIZE = 64 * 1024 ** 2;
