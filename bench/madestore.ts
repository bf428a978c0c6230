import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { digestOf } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { IndexedImage } from '../lib/pairing/forest.ts';
import { keys } from '../lib/store/keys.ts';
import type { Store } from '../lib/store/objects/store.ts';

/** A store in memory with any number of images, each of which is one of a few real images under another name. */
export interface MadeStore extends Store {
  readonly images: readonly IndexedImage[];
  /** Number of requests by kind. */
  readonly requests: Readonly<Record<'get' | 'stat' | 'put' | 'list', number>>;
}

export interface SeedImage {
  /** The stored signature. */
  readonly bytes: Buffer;
  readonly sketch: Buffer;
}

function unused(): never {
  throw new PanamaxError('internal', 'not a part of this store');
}

interface Document {
  readonly image: { readonly manifest: string; readonly manifestDocument: string };
}

/** The head of a stored signature (docs/formats.md). */
const HEAD = 40;
const CHECKSUM_AT = 12;
const SIZES_AT = 16;

/** The document of a stored signature, and the bytes behind it. */
function divided(bytes: Buffer) {
  const end = HEAD + bytes.readUInt32LE(SIZES_AT);
  const document = JSON.parse(zstdDecompressSync(bytes.subarray(HEAD, end)).toString()) as Document;
  return { head: bytes.subarray(0, HEAD), document, rest: bytes.subarray(end) };
}

function joined({ head, rest }: ReturnType<typeof divided>, document: Document): Buffer {
  const text = Buffer.from(JSON.stringify(document));
  const stored = zstdCompressSync(text);
  const bytes = Buffer.concat([head, stored, rest]);
  bytes.writeUInt32LE(stored.length, SIZES_AT);
  bytes.writeUInt32LE(text.length, SIZES_AT + 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(SIZES_AT)), CHECKSUM_AT);
  return bytes;
}

/** Neighbours in the list are releases of one image. */
export function makeStore(seeds: readonly SeedImage[], count: number): MadeStore {
  const parts = seeds.map(({ bytes }) => divided(bytes));
  const perSeed = Math.ceil(count / seeds.length);
  const seedOf = new Map<string, number>();
  const images: IndexedImage[] = [];
  const objects = new Map<string, Uint8Array>();
  const documents = new Map<string, Document>();
  for (let i = 0; i < count; i++) {
    const seed = Math.floor(i / perSeed);
    const { document } = parts[seed]!;
    const manifestDocument = document.image.manifestDocument.replace(
      /\s*\}\s*$/,
      `,"annotations":{"n":"${i}"}}`,
    );
    const manifest = digestOf(manifestDocument);
    const sketch = Buffer.from(seeds[seed]!.sketch);
    // releases differ in one bin of sixteen
    for (let bin = i % 16; bin < 128; bin += 16) sketch.writeUInt16BE((i * 2654435761) & 0xffff, 2 * bin);
    images.push({ manifest, sketch });
    seedOf.set(keys.signature(manifest), seed);
    documents.set(keys.signature(manifest), {
      ...document,
      image: { ...document.image, manifest, manifestDocument },
    });
    objects.set(keys.sketch(manifest), sketch);
  }
  const sizes = new Map<string, number>();
  const requests = { get: 0, stat: 0, put: 0, list: 0 };
  const find = (key: string): Buffer | undefined => {
    const seed = seedOf.get(key);
    const object = objects.get(key);
    if (seed === undefined) return object && Buffer.from(object);
    const bytes = joined(parts[seed]!, documents.get(key)!);
    sizes.set(key, bytes.length);
    return bytes;
  };
  return {
    images,
    requests,
    where: 'memory',
    name: 'memory',
    async get(key) {
      requests.get++;
      return find(key);
    },
    async stat(key) {
      requests.stat++;
      const size = sizes.get(key) ?? find(key)?.length;
      return size === undefined ? undefined : { size, modified: new Date() };
    },
    async put(key, bytes) {
      requests.put++;
      objects.set(key, bytes);
    },
    async *list(prefix) {
      requests.list++;
      for (const key of objects.keys()) if (key.startsWith(prefix)) yield key;
    },
    async remove(key) {
      objects.delete(key);
    },
    putFile: unused,
    open: unused,
  };
}
