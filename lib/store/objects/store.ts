import { PanamaxError } from '../../errors.ts';

/** The part of a store that a site needs. Files behind a web server are enough for it. */
export interface StoreReader {
  /** Names the store in messages, without credentials. */
  readonly where: string;
  /** Reads a whole document; undefined for a missing one. @throws PanamaxError `limit` over 64 MiB */
  get(key: string): Promise<Buffer | undefined>;
  /** Reads an object from an offset within it. @throws PanamaxError `not-found` */
  open(key: string, offset?: number): Promise<AsyncIterable<Uint8Array>>;
}

/**
 * Object storage. Keys are `/`-separated. An object appears whole or not at all, and a put over an existing key replaces
 * the object in one step. A key never is a directory of another key: with `a/b` there is no `a`.
 */
export interface Store extends StoreReader {
  /** Bucket and prefix, or the absolute path: the same for every client of the store. */
  readonly name: string;
  /** Undefined for a missing object. */
  stat(key: string): Promise<ObjectInfo | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Stores the content of a file. */
  putFile(key: string, path: string): Promise<void>;
  /** Removes an object. A missing one is no error. */
  remove(key: string): Promise<void>;
  /** Lists the keys below a prefix that ends with `/`, in bytewise order, starting behind the key `after`. */
  list(prefix: string, after?: string): AsyncIterable<string>;
}

export interface ObjectInfo {
  /** In bytes. */
  readonly size: number;
  /** Time of the last put by the store's clock. */
  readonly modified: Date;
}

export const MAX_DOCUMENT_SIZE = 64 * 1024 ** 2;

/** Describes the names of buckets that every S3 server takes. */
export const BUCKET_NAME = '3 to 63 lower-case letters, digits, dots and hyphens';

/** Parts consist of letters, digits and `_.@=-`. No part starts with a dot. */
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

/** Keys are built from checked digests (keys.ts), so a bad one is a defect. @throws PanamaxError `internal` */
export function checkKey(key: string): void {
  if (!isKey(key)) throw new PanamaxError('internal', 'not a store key', { found: key });
}

/** As `checkKey`, for the prefix of `list`: a key and a slash. */
export function checkPrefix(prefix: string): void {
  checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : '');
}
