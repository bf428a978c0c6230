import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { createGzip } from 'node:zlib';
import type { Limits } from '../limits.ts';
import type { Image, Layer } from '../oci/image.ts';
import { bounded, writeAll } from '../oci/layerstream.ts';
import { imageRecord, type LayerSizes } from '../oci/record.ts';
import { createRootfs, type RootfsItem } from '../oci/rootfs.ts';
import type { TarEntry } from '../tar/entry.ts';
import { createExpander } from '../tar/expand.ts';
import { scanTar } from '../tar/scan.ts';
import { contentDigest, fileTable, type Content } from './filetable.ts';
import type { Signature } from './signature.ts';
import { createTlsh } from './tlsh.ts';

const READ_SIZE = 1024 ** 2;

/** Content of a regular file, and what is needed to read it again. */
interface StoredContent extends Content {
  readonly entry: TarEntry;
}

/**
 * Reads an image once, layer by layer, into its signature. Uses a scratch file of the size of the layer stream,
 * which is gone afterwards.
 *
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function computeSignature(
  image: Image,
  scratchPath: string,
  limits: Limits,
): Promise<Signature> {
  const file = await open(scratchPath, 'wx+');
  try {
    const rootfs = createRootfs<StoredContent>(limits);
    const sizes: LayerSizes[] = [];
    let start = 0;
    for (const layer of image.layers) {
      rootfs.beginLayer(`${image.reference} layer ${layer.descriptor.digest}`);
      const read = readLayer(layer, start, { file, limits, reference: image.reference });
      for await (const { entry, content } of read.entries) rootfs.add(entry, content);
      const layerSizes = await read.sizes();
      sizes.push(layerSizes);
      start += layerSizes.size;
    }
    const items = rootfs.nodes();
    const inodes = new Set(items.map(({ node }) => node).filter((node) => node.type === 'file'));
    let contentSize = 0;
    for (const node of inodes) contentSize += node.size;
    return {
      image: imageRecord(image, sizes),
      contentDigest: contentDigest(items),
      contentSize,
      tlsh: await tlshOf(items, file),
      files: fileTable(items),
    };
  } finally {
    await file.close();
    await rm(scratchPath, { force: true });
  }
}

interface Scratch {
  readonly file: FileHandle;
  readonly limits: Limits;
  readonly reference: string;
}

interface ReadEntry {
  readonly entry: TarEntry;
  readonly content?: StoredContent;
}

/** Reads a layer's entries, with the digests of files, while the tar is written to scratch. */
function readLayer(
  layer: Layer,
  start: number,
  { file, limits, reference }: Scratch,
): { entries: AsyncIterable<ReadEntry>; sizes(): Promise<LayerSizes> } {
  let size = 0;
  const meter = createPullMeter(layer);

  async function* spooled(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of bounded(layer.tar(), limits.maxImageSize - start, limits, reference)) {
      size += chunk.length;
      await Promise.all([writeAll(file, chunk), meter.write(chunk)]);
      yield chunk;
    }
  }

  async function* entries(): AsyncGenerator<ReadEntry, void, void> {
    const where = `${reference} layer ${layer.descriptor.digest}`;
    let current: { entry: TarEntry; finish(): StoredContent; push(data: Uint8Array): void } | undefined;
    for await (const event of scanTar(spooled(), { limits, where })) {
      if (event.kind === 'data') {
        current?.push(event.data);
        continue;
      }
      if (current) yield { entry: current.entry, content: current.finish() };
      current = event.entry.type === 'file' ? hashing(event.entry, start) : undefined;
      if (!current) yield { entry: event.entry };
    }
    if (current) yield { entry: current.entry, content: current.finish() };
  }

  return {
    entries: entries(),
    sizes: async () => ({ size, pullSize: await meter.size() }),
  };
}

function hashing(entry: TarEntry, start: number) {
  const hash = createHash('sha256');
  const expander = createExpander(entry, (bytes) => hash.update(bytes));
  return {
    entry,
    push: (data: Uint8Array) => expander.push(data),
    finish(): StoredContent {
      expander.end();
      const digest = `sha256:${hash.digest('hex')}` as const;
      return { digest, offset: start + entry.bodyOffset, storedSize: entry.bodySize, entry };
    },
  };
}

/**
 * Tells what a pull moves for a layer: its size in the manifest where it is compressed there; else what gzip at
 * its default level, which registries' clients use on push, makes of it.
 */
function createPullMeter(layer: Layer): { write(chunk: Uint8Array): Promise<void>; size(): Promise<number> } {
  const isPlain = layer.descriptor.digest === layer.diffID;
  if (!isPlain) return { write: async () => {}, size: async () => layer.descriptor.size };
  let size = 0;
  const gzip = createGzip();
  gzip.on('data', (piece: Buffer) => (size += piece.length));
  const ended = new Promise<void>((resolve, reject) => {
    gzip.once('end', resolve);
    gzip.once('error', reject);
  });
  return {
    write: (chunk) => new Promise((resolve, reject) => gzip.write(chunk, (e) => (e ? reject(e) : resolve()))),
    async size() {
      gzip.end();
      await ended;
      return size;
    },
  };
}

/** TLSH over the contents of the regular files in path order, each inode once. */
async function tlshOf(items: readonly RootfsItem<StoredContent>[], file: FileHandle): Promise<string | null> {
  const tlsh = createTlsh();
  const buffer = Buffer.allocUnsafe(READ_SIZE);
  const seen = new Set<unknown>();
  for (const { node } of items) {
    if (!node.content || seen.has(node)) continue;
    seen.add(node);
    const { entry, offset, storedSize } = node.content;
    const expander = createExpander(entry, (bytes) => tlsh.update(bytes));
    for (let done = 0; done < storedSize;) {
      const wanted = Math.min(buffer.length, storedSize - done);
      const { bytesRead } = await file.read(buffer, 0, wanted, offset + done);
      if (bytesRead === 0) break;
      expander.push(buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
    expander.end();
  }
  return tlsh.digest();
}
