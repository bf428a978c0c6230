import { PanamaxError } from '../../errors.ts';

/** The part of a store that a site needs; it may be no more than files behind a web server. */
export interface StoreReader {
  /** Names the store in messages, without credentials. */
  readonly where: string;
  /** A document, whole. Undefined where there is none. @throws PanamaxError `limit` over 64 MiB */
  get(key: string): Promise<Buffer | undefined>;
  /** Bytes of an object, from an offset that is within it. @throws PanamaxError `not-found` */
  open(key: string, offset?: number): Promise<AsyncIterable<Uint8Array>>;
}

/**
 * Object storage as panamax needs it. Keys are `/`-separated; every object appears whole or not at all, and a
 * put over an existing key replaces it in one step. No key of an object is the beginning of another's path: with
 * `a/b` there is no `a`.
 */
export interface Store extends StoreReader {
  /** The same wherever the store is reached from: its bucket and prefix, or its path from the root. */
  readonly name: string;
  /** Undefined where there is none. */
  stat(key: string): Promise<ObjectInfo | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Stores a file's content. The file stays as it is. */
  putFile(key: string, path: string): Promise<void>;
  /** Removes an object; nothing happens where there is none. */
  remove(key: string): Promise<void>;
  /** Keys under a prefix that ends with `/`, in bytewise order; only those behind `after`, where that is given. */
  list(prefix: string, after?: string): AsyncIterable<string>;
}

export interface ObjectInfo {
  /** In bytes. */
  readonly size: number;
  /** When it was put there, by the clock of whoever keeps it. */
  readonly modified: Date;
}

export const MAX_DOCUMENT_SIZE = 64 * 1024 ** 2;

/** Parts of letters, digits and `_.@=-`, none of which begins with a dot. */
const KEY = /^(?!.*(^|\/)\.)[\w.@=-]+(\/[\w.@=-]+)*$/;

export function isKey(text: string): boolean {
  return KEY.test(text);
}

export function tooLarge(found: number, where: string): PanamaxError {
  return new PanamaxError('limit', 'document is too large', {
    expected: `at most ${MAX_DOCUMENT_SIZE} bytes`,
    found,
    where,
  });
}

/** Keys are made by panamax (layout.ts) of checked digests: a bad one is a defect. */
export function checkKey(key: string): void {
  if (!isKey(key)) throw new PanamaxError('internal', 'not a store key', { found: key });
}

/** As `checkKey`, for what `list` takes: a key and a slash. */
export function checkPrefix(prefix: string): void {
  checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : '');
}
