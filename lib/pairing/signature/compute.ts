import type { Limits } from '../../limits.ts';
import { checkExpansion, tooLarge } from '../../image/expansion.ts';
import type { Image } from '../../image/open.ts';
import { imageRecord } from '../../image/record.ts';
import { createRootfs } from '../../image/rootfs.ts';
import { numbersColumn, textColumn, wordsColumn } from '../../runtime/column.ts';
import { joinSamples, tlshOf, type ByteSample } from './bytesample.ts';
import { createContents, type Contents, type ContentsBuilder } from './contents.ts';
import { DIGEST_SIZE, digestAt, digestKey } from './digestset.ts';
import { createContentDigest, createFileTable } from './filetable.ts';
import { byteSampleIn, contentsIn, entriesOf, type LayerSummary } from './layercolumns.ts';
import { readLayer } from './readlayer.ts';
import type { LayerTable, Signature } from './signature.ts';

/**
 * Computes the signature of an image: reads each layer once and flattens the layers.
 *
 * @param known summaries of layers that need not be read: of this diffID, and read from this blob
 * @param onRead takes the summary of each layer that was read, and its index
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function computeSignature(
  image: Image,
  limits: Limits,
  known: readonly (LayerSummary | undefined)[] = [],
  onRead?: (summary: LayerSummary, layer: number) => void,
): Promise<Signature> {
  // in `rootfs` the content of a file is its number among the files of all layers
  const rootfs = createRootfs<number>(limits);
  const contents = createContents();
  const fileContents = wordsColumn();
  const layers: LayerTable[] = [];
  const layerSizes: number[] = [];
  const pullSizes: number[] = [];
  const samples: ByteSample[] = [];
  let room = limits.maxImageSize;
  for (const [i, layer] of image.layers.entries()) {
    const { descriptor } = layer;
    let summary = known[i];
    if (!summary) {
      summary = await readLayer(layer, { limits, image: image.reference, room });
      onRead?.(summary, i);
    }
    const { size, zeros, columns, blobs } = summary;
    const where = `${image.reference} layer ${descriptor.digest}`;
    checkExpansion(Math.max(size, zeros), { limits, size: descriptor.size }, where);
    room -= size;
    if (room < 0) throw tooLarge(limits.maxImageSize, image.reference);
    rootfs.beginLayer(where);
    const numbers = addContents(contents, contentsIn(columns));
    const paths = textColumn();
    let file = 0;
    for (const entry of entriesOf(columns)) {
      if (entry.type !== 'file') {
        rootfs.add(entry);
        continue;
      }
      rootfs.add(entry, fileContents.length);
      fileContents.push(numbers[columns.fileContents[file++]!]!);
      paths.push(entry.path);
    }
    layerSizes.push(size);
    pullSizes.push(blobs.find(({ digest }) => digest === descriptor.digest)!.pullSize);
    samples.push(byteSampleIn(columns));
    layers.push({
      tlsh: summary.tlsh,
      entries: columns.types.length,
      files: {
        paths: paths.finish(),
        contents: columns.fileContents.map((content) => numbers[content]!),
      },
    });
  }
  // the flattened image: its digest, its file table and the order of its files
  const all = contents.finish();
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
    digest.add(item, content < 0 ? undefined : digestAt(all.digests, content));
    const at = content * DIGEST_SIZE;
    const bytes = content < 0 ? undefined : all.digests.subarray(at, at + DIGEST_SIZE);
    files.add(path, node.type, node.type === 'file' ? node.size : 0, bytes);
    if (number === undefined || isThere[number] === 1) continue;
    isThere[number] = 1;
    order.push(digestKey(all.digests, at));
    contentSize += node.size;
  }
  return {
    image: imageRecord(image, layerSizes, pullSizes),
    contentDigest: digest.finish(),
    contentSize,
    files: files.finish(),
    tlsh: tlshOf(joinSamples(samples), order.finish()),
    layers,
    contents: all,
  };
}

/** Adds the contents of a layer. @returns the number of each among those of all layers */
function addContents(
  all: ContentsBuilder,
  { digests, sizes, densities, levels, ...one }: Contents,
): Uint32Array {
  const numbers = new Uint32Array(sizes.length);
  for (const [i, size] of sizes.entries()) {
    const digest = digests.subarray(i * DIGEST_SIZE, (i + 1) * DIGEST_SIZE);
    const samples = one.samples.subarray(one.sampleEnds[i - 1] ?? 0, one.sampleEnds[i]);
    numbers[i] = all.add(digest, size, { density: densities[i]!, level: levels[i]!, samples });
  }
  return numbers;
}
