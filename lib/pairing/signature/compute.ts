import { createHash } from 'node:crypto';
import type { Limits } from '../../limits.ts';
import { checkExpansion, tooLarge } from '../../image/expansion.ts';
import type { Image } from '../../image/open.ts';
import { measurePullSizes } from '../../image/pullsize.ts';
import { imageRecord } from '../../image/record.ts';
import { createRootfs } from '../../image/rootfs.ts';
import type { TarEntry } from '../../image/tar/entry.ts';
import { createExpander, zerosOf } from '../../image/tar/expand.ts';
import { scanTar } from '../../image/tar/scan.ts';
import { numbersColumn, textColumn, wordsColumn } from '../../runtime/column.ts';
import { createByteSampler, createMiddle, joinSamples, tlshOf, type ByteSample } from './bytesample.ts';
import { createContents } from './contents.ts';
import { createContentSketcher, type ContentSketch, type ContentSketcher } from './contentsketch.ts';
import { DIGEST_SIZE, digestAt, digestKey } from './digestset.ts';
import { createContentDigest, createFileTable } from './filetable.ts';
import type { LayerTable, Signature } from './signature.ts';

/** A regular file after its bytes have been read. */
interface ReadFile {
  /** SHA-256 of the content; holes of sparse files count as zeros, large ones by their size (docs/formats.md). */
  readonly digest: Uint8Array;
  readonly sketch: ContentSketch;
  readonly middle: Uint8Array;
}

/**
 * Computes the signature of an image in one pass over its layers.
 *
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function computeSignature(image: Image, limits: Limits): Promise<Signature> {
  // waits for both, also after a failure: neither may still read files when this returns
  const [read, pullSizes] = await Promise.allSettled([readImage(image, limits), measurePullSizes(image)]);
  if (read.status === 'rejected') throw read.reason;
  if (pullSizes.status === 'rejected') throw pullSizes.reason;
  const { layerSizes, ...content } = read.value;
  return { image: imageRecord(image, layerSizes, pullSizes.value), ...content };
}

async function readImage(
  image: Image,
  limits: Limits,
): Promise<Omit<Signature, 'image'> & { readonly layerSizes: readonly number[] }> {
  // in `rootfs` the content of a file is its number among the files of all layers
  const rootfs = createRootfs<number>(limits);
  const contents = createContents();
  const fileContents = wordsColumn();
  const layers: LayerTable[] = [];
  const layerSizes: number[] = [];
  const samples: ByteSample[] = [];
  let start = 0;
  // the layers: digests, sketches and samples of their files
  for (const layer of image.layers) {
    const where = `${image.reference} layer ${layer.descriptor.digest}`;
    const paths = textColumn();
    const numbers = wordsColumn();
    const keys = numbersColumn();
    const sampler = createByteSampler();
    let entries = 0;
    let size = 0;
    rootfs.beginLayer(where);
    let zeros = 0;
    const refuseOver = (end: number) => {
      if (end > limits.maxImageSize) throw tooLarge(limits.maxImageSize, image.reference);
    };
    async function* measured(): AsyncGenerator<Uint8Array, void, void> {
      for await (const chunk of layer.tar(limits.maxImageSize - start)) {
        size += chunk.length;
        refuseOver(start + size);
        yield chunk;
      }
    }
    const read = readEntries(measured(), { limits, where }, (entry) => {
      // refused as soon as it is certain
      refuseOver(start + entry.bodyOffset + entry.bodySize);
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
      const key = digestKey(file.digest);
      rootfs.add(entry, fileContents.length);
      fileContents.push(content);
      sampler.add(key, file.middle);
      paths.push(entry.path);
      numbers.push(content);
      keys.push(key);
    }
    start += size;
    layerSizes.push(size);
    const sample = sampler.finish();
    samples.push(sample);
    const files = { paths: paths.finish(), contents: numbers.finish() };
    layers.push({ tlsh: tlshOf(sample, keys.finish()), entries, files });
  }
  // the flattened image: its digest, its file table and the order of its files
  const known = contents.finish();
  const contentOf = fileContents.finish();
  const digest = createContentDigest();
  const files = createFileTable();
  const order = numbersColumn();
  const isThere = new Uint8Array(contentOf.length);
  let contentSize = 0;
  for (const item of rootfs.nodes()) {
    const { path, node } = item;
    const number = node.content;
    const content = number === undefined ? -1 : contentOf[number]!;
    digest.add(item, content < 0 ? undefined : digestAt(known.digests, content));
    const at = content * DIGEST_SIZE;
    const bytes = content < 0 ? undefined : known.digests.subarray(at, at + DIGEST_SIZE);
    files.add(path, node.type, node.type === 'file' ? node.size : 0, bytes);
    if (number === undefined || isThere[number] === 1) continue;
    isThere[number] = 1;
    order.push(digestKey(known.digests, at));
    contentSize += node.size;
  }
  return {
    layerSizes,
    contentDigest: digest.finish(),
    contentSize,
    files: files.finish(),
    tlsh: tlshOf(joinSamples(samples), order.finish()),
    layers,
    contents: known,
  };
}

interface ReadEntry {
  readonly entry: TarEntry;
  /** Only for regular files. */
  readonly file?: ReadFile;
}

/**
 * Reads the entries of a tar, with the digests, sketches and middle bytes of regular files.
 *
 * @param check is called for each entry before its content is read
 */
async function* readEntries(
  tar: AsyncIterable<Uint8Array>,
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
    current = event.entry.type === 'file' ? readFile(event.entry, sketcher) : undefined;
    if (!current) yield { entry: event.entry };
  }
  if (current) yield { entry: current.entry, file: current.finish() };
}

interface FileReader {
  readonly entry: TarEntry;
  push(data: Uint8Array): void;
  finish(): ReadFile;
}

function readFile(entry: TarEntry, sketcher: ContentSketcher): FileReader {
  const hash = createHash('sha256');
  const middle = createMiddle(entry.size);
  const expander = createExpander(
    entry,
    (bytes) => {
      hash.update(bytes);
      sketcher.update(bytes);
      middle.push(bytes);
    },
    (size) => {
      hash.update(`hole of ${size} bytes`);
      middle.skip(size);
    },
  );
  return {
    entry,
    push: (data) => expander.push(data),
    finish() {
      expander.end();
      return { digest: hash.digest(), sketch: sketcher.finish(), middle: middle.finish() };
    },
  };
}
