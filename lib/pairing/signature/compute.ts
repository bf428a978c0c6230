import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Limits } from '../../limits.ts';
import { checkExpansion, tooLarge } from '../../image/expansion.ts';
import type { Image } from '../../image/open.ts';
import { openSpool, type LayerStream } from '../../image/layerstream.ts';
import { measurePullSizes } from '../../image/pullsize.ts';
import { imageRecord } from '../../image/record.ts';
import { createRootfs } from '../../image/rootfs.ts';
import type { TarEntry } from '../../image/tar/entry.ts';
import { createExpander, zerosOf } from '../../image/tar/expand.ts';
import { scanTar } from '../../image/tar/scan.ts';
import { numbersColumn, textColumn, wordsColumn } from '../../runtime/column.ts';
import { createContents } from './contents.ts';
import { createContentSketcher, type ContentSketch, type ContentSketcher } from './contentsketch.ts';
import { DIGEST_SIZE, digestAt } from './digestset.ts';
import { createContentDigest, createFileTable } from './filetable.ts';
import type { LayerTable, Signature } from './signature.ts';
import { createStreamTlsh, type StoredFile, type StreamTlsh } from './streamtlsh.ts';

/** A regular file after its bytes have been read. */
interface ReadFile {
  /** SHA-256 of the content; holes of sparse files count as zeros, large ones by their size (docs/formats.md). */
  readonly digest: Uint8Array;
  /** Offset of its stored bytes in the layer stream. */
  readonly offset: number;
  readonly sketch: ContentSketch;
}

/**
 * Computes the signature of an image in one pass over its layers. Writes a scratch file of the size of the layer stream
 * and removes it at the end.
 *
 * @param room bound on the size of the scratch file, in bytes
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function computeSignature(
  image: Image,
  scratchPath: string,
  limits: Limits,
  room = limits.maxImageSize,
): Promise<Signature> {
  // waits for both, also after a failure: neither may still use scratch when this returns
  const [read, pullSizes] = await Promise.allSettled([
    readImage(image, scratchPath, limits, room),
    measurePullSizes(image),
  ]);
  if (read.status === 'rejected') throw read.reason;
  if (pullSizes.status === 'rejected') throw pullSizes.reason;
  const { layerSizes, ...content } = read.value;
  return { image: imageRecord(image, layerSizes, pullSizes.value), ...content };
}

async function readImage(
  image: Image,
  scratchPath: string,
  limits: Limits,
  room: number,
): Promise<Omit<Signature, 'image'> & Pick<LayerStream, 'layerSizes'>> {
  try {
    const maxImageSize = Math.min(room, limits.maxImageSize);
    await using spool = await openSpool(image, scratchPath, { ...limits, maxImageSize });
    await using tlsh = createStreamTlsh(scratchPath);
    // in `rootfs` the content of a file is its number in `stored`
    const rootfs = createRootfs<number>(limits);
    const contents = createContents();
    const stored = createStored();
    const layers: Omit<LayerTable, 'tlsh'>[] = [];
    const tlshs: Promise<string | null>[] = [];
    // the layers: digests, content sketches and TLSHs of their files
    for (const layer of image.layers) {
      const where = `${image.reference} layer ${layer.descriptor.digest}`;
      const start = spool.layerSizes.reduce((sum, size) => sum + size, 0);
      const paths = textColumn();
      const numbers = wordsColumn();
      let entries = 0;
      rootfs.beginLayer(where);
      let zeros = 0;
      const read = readEntries(spool.add(layer), start, tlsh, { limits, where }, (entry) => {
        // refused as soon as it is certain
        if (start + entry.bodyOffset + entry.bodySize > maxImageSize) {
          throw tooLarge(maxImageSize, image.reference);
        }
        zeros += zerosOf(entry);
        checkExpansion(zeros, { limits, size: layer.descriptor.size }, where);
      });
      for await (const { entry, file } of read) {
        entries++;
        if (!file) {
          rootfs.add(entry);
          continue;
        }
        const content = contents.add(file.digest, entry.size, file.sketch);
        rootfs.add(entry, stored.add({ entry, offset: file.offset }, content));
        paths.push(entry.path);
        numbers.push(content);
      }
      tlshs.push(tlsh.endLayer());
      layers.push({ entries, files: { paths: paths.finish(), contents: numbers.finish() } });
    }
    // the flattened image: its digest, its file table and the order of its files
    const known = contents.finish();
    const digest = createContentDigest();
    const files = createFileTable();
    const order = wordsColumn();
    const isThere = new Uint8Array(stored.length);
    let contentSize = 0;
    for (const item of rootfs.nodes()) {
      const { path, node } = item;
      const number = node.content;
      const content = number === undefined ? -1 : stored.contentOf(number);
      digest.add(item, content < 0 ? undefined : digestAt(known.digests, content));
      const at = content * DIGEST_SIZE;
      const bytes = content < 0 ? undefined : known.digests.subarray(at, at + DIGEST_SIZE);
      files.add(path, node.type, node.type === 'file' ? node.size : 0, bytes);
      if (number === undefined || isThere[number] === 1) continue;
      isThere[number] = 1;
      order.push(number);
      contentSize += node.size;
    }
    // the TLSH of the whole image, over the visible files in path order
    const { layerSizes } = spool;
    const leftOut = isThere.keys().filter((number) => isThere[number] === 0);
    const inOrder = order.finish().values();
    const fileAt = (number: number) => stored.at(number, known.sizes);
    return {
      layerSizes,
      contentDigest: digest.finish(),
      contentSize,
      files: files.finish(),
      tlsh: await tlsh.reordered(inOrder.map(fileAt), leftOut.map(fileAt)),
      layers: await Promise.all(layers.map(async (layer, i) => ({ tlsh: await tlshs[i]!, ...layer }))),
      contents: known,
    };
  } finally {
    await rm(scratchPath, { force: true });
  }
}

/** Keeps the positions of files, so that they can be read from the layer stream again. */
function createStored() {
  const offsets = numbersColumn();
  const contents = wordsColumn();
  const sparse = new Map<number, StoredFile>();
  return {
    get length() {
      return offsets.length;
    },
    /** @returns the file's number */
    add(file: StoredFile, content: number): number {
      const number = offsets.length;
      if (file.entry.sparse) sparse.set(number, file);
      offsets.push(file.offset);
      contents.push(content);
      return number;
    },
    contentOf: (number: number) => contents.view()[number]!,
    /** @param sizes the sizes of contents, by index */
    at(number: number, sizes: Float64Array): StoredFile {
      const size = sizes[contents.view()[number]!]!;
      const offset = offsets.view()[number]!;
      return sparse.get(number) ?? { entry: { size, bodySize: size }, offset };
    },
  };
}

interface ReadEntry {
  readonly entry: TarEntry;
  /** Only for regular files. */
  readonly file?: ReadFile;
}

/**
 * Reads the entries of a tar, with the digests and sketches of regular files.
 *
 * @param start offset of the tar in the layer stream
 * @param check is called for each entry before its content is read
 */
async function* readEntries(
  tar: AsyncIterable<Uint8Array>,
  start: number,
  tlsh: StreamTlsh,
  options: { limits: Limits; where: string },
  check: (entry: TarEntry) => void,
): AsyncGenerator<ReadEntry, void, void> {
  const sketcher = createContentSketcher();
  let current: FileReader | undefined;
  for await (const event of scanTar(tar, options)) {
    if (event.kind === 'data') {
      current?.push(event.data);
      continue;
    }
    if (current) yield { entry: current.entry, file: current.finish() };
    check(event.entry);
    current = event.entry.type === 'file' ? readFile(event.entry, start, sketcher, tlsh) : undefined;
    if (!current) yield { entry: event.entry };
  }
  if (current) yield { entry: current.entry, file: current.finish() };
}

interface FileReader {
  readonly entry: TarEntry;
  push(data: Uint8Array): void;
  finish(): ReadFile;
}

function readFile(entry: TarEntry, start: number, sketcher: ContentSketcher, tlsh: StreamTlsh): FileReader {
  const hash = createHash('sha256');
  const expander = createExpander(
    entry,
    (bytes) => {
      hash.update(bytes);
      sketcher.update(bytes);
    },
    (size) => hash.update(`hole of ${size} bytes`),
  );
  const offset = start + entry.bodyOffset;
  let stored = 0;
  return {
    entry,
    push(data) {
      expander.push(data);
      if (!entry.sparse) tlsh.add(offset + stored, data.length);
      stored += data.length;
    },
    finish() {
      expander.end();
      if (entry.sparse) tlsh.addFile({ entry, offset });
      else tlsh.endFile();
      return { digest: hash.digest(), offset, sketch: sketcher.finish() };
    },
  };
}
