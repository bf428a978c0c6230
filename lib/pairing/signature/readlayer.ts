import { createHash } from 'node:crypto';
import type { Limits } from '../../limits.ts';
import { checkExpansion, tooLarge } from '../../image/expansion.ts';
import type { Layer } from '../../image/open.ts';
import { pullSizeOf } from '../../image/pullsize.ts';
import type { TarEntry } from '../../image/tar/entry.ts';
import { createExpander, zerosOf } from '../../image/tar/expand.ts';
import { scanTar } from '../../image/tar/scan.ts';
import { bytesColumn, numbersColumn, textColumn, wordsColumn } from '../../runtime/column.ts';
import { createByteSampler, createMiddle, tlshOf, type ByteSample, type MiddleBytes } from './bytesample.ts';
import { createContents } from './contents.ts';
import { createContentSketcher, type ContentSketch, type ContentSketcher } from './contentsketch.ts';
import { digestKey } from './digestset.ts';
import { ENTRY_TYPES, type LayerColumns, type LayerSummary } from './layercolumns.ts';

export interface LayerOptions {
  readonly limits: Limits;
  /** Names the image in errors. */
  readonly image: string;
  /** Size in bytes above which the image is refused. */
  readonly room: number;
}

/**
 * Reads a layer once: its entries, and the digests, sketches and samples of its files.
 *
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function readLayer(layer: Layer, options: LayerOptions): Promise<LayerSummary> {
  // waits for both, also after a failure: neither may still read files when this returns
  const [read, pull] = await Promise.allSettled([readTar(layer, options), pullSizeOf(layer)]);
  if (read.status === 'rejected') throw read.reason;
  if (pull.status === 'rejected') throw pull.reason;
  const { digest, size } = layer.descriptor;
  return { ...read.value, diffID: layer.diffID, blobs: [{ digest, size, pullSize: pull.value }] };
}

async function readTar(
  layer: Layer,
  { limits, image, room }: LayerOptions,
): Promise<Omit<LayerSummary, 'diffID' | 'blobs'>> {
  const where = `${image} layer ${layer.descriptor.digest}`;
  const entries = createEntryColumns();
  const contents = createContents();
  const fileContents = wordsColumn();
  const keys = numbersColumn();
  const sampler = createByteSampler();
  let size = 0;
  let zeros = 0;
  const refuseOver = (end: number) => {
    if (end > room) throw tooLarge(limits.maxImageSize, image);
  };
  async function* measured(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of layer.tar(room)) {
      size += chunk.length;
      refuseOver(size);
      yield chunk;
    }
  }
  const read = readEntries(measured(), { limits, where }, (entry) => {
    // refused as soon as it is certain
    refuseOver(entry.bodyOffset + entry.bodySize);
    zeros += zerosOf(entry);
    checkExpansion(zeros, { limits, size: layer.descriptor.size }, where);
  });
  for await (const { entry, file } of read) {
    entries.add(entry);
    if (!file) continue;
    const key = digestKey(file.digest);
    fileContents.push(contents.add(file.digest, entry.size, file.sketch));
    keys.push(key);
    sampler.add(key, file.middle);
  }
  const sample = sampler.finish();
  const { sizes: contentSizes, ...others } = contents.finish();
  const columns: LayerColumns = {
    ...entries.finish(),
    ...others,
    contentSizes,
    fileContents: fileContents.finish(),
    ...sampleColumns(sample),
  };
  return { size, zeros, tlsh: tlshOf(sample, keys.finish()), columns };
}

function createEntryColumns() {
  const [sizes, offsets] = [numbersColumn(), numbersColumn()];
  const [paths, links, names, values] = [textColumn(), textColumn(), textColumn(), textColumn()];
  const [modes, uids, gids] = [wordsColumn(), wordsColumn(), wordsColumn()];
  const [devMajors, devMinors, xattrEntries] = [wordsColumn(), wordsColumn(), wordsColumn()];
  const types = bytesColumn();
  return {
    add(entry: TarEntry): void {
      for (const [name, value] of entry.xattrs) {
        xattrEntries.push(types.length);
        names.push(name);
        values.push(value);
      }
      sizes.push(entry.size);
      offsets.push(entry.offset);
      paths.push(entry.path);
      links.push(entry.linkPath);
      modes.push(entry.mode);
      uids.push(entry.uid);
      gids.push(entry.gid);
      devMajors.push(entry.devMajor);
      devMinors.push(entry.devMinor);
      types.push(ENTRY_TYPES.indexOf(entry.type));
    },
    finish() {
      const [path, link, name, value] = [paths.finish(), links.finish(), names.finish(), values.finish()];
      return {
        sizes: sizes.finish(),
        offsets: offsets.finish(),
        pathEnds: path.ends,
        pathBytes: path.bytes,
        linkEnds: link.ends,
        linkBytes: link.bytes,
        modes: modes.finish(),
        uids: uids.finish(),
        gids: gids.finish(),
        devMajors: devMajors.finish(),
        devMinors: devMinors.finish(),
        xattrEntries: xattrEntries.finish(),
        xattrNameEnds: name.ends,
        xattrNameBytes: name.bytes,
        xattrValueEnds: value.ends,
        xattrValueBytes: value.bytes,
        types: types.finish(),
      };
    },
  };
}

/** @param sample by ascending keys */
function sampleColumns(sample: ByteSample) {
  let end = 0;
  return {
    middleKeys: Float64Array.from(sample.keys()),
    middleEnds: Uint32Array.from(sample.values(), ({ length }) => (end += length)),
    middleBytes: new Uint8Array(Buffer.concat([...sample.values()])),
  };
}

/** A regular file after its bytes have been read. */
interface ReadFile {
  /** SHA-256 of the content; holes of sparse files count as zeros, large ones by their size (docs/formats.md). */
  readonly digest: Uint8Array;
  readonly sketch: ContentSketch;
  /** Valid until the next file is read. */
  readonly middle: Uint8Array;
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
  const tools = { sketcher: createContentSketcher(), middle: createMiddle() };
  let current: FileReader | undefined;
  for await (const event of scanTar(tar, options)) {
    if (event.kind === 'data') {
      current?.push(event.data);
      continue;
    }
    if (current) yield { entry: current.entry, file: current.finish() };
    check(event.entry);
    current = event.entry.type === 'file' ? readFile(event.entry, tools) : undefined;
    if (!current) yield { entry: event.entry };
  }
  if (current) yield { entry: current.entry, file: current.finish() };
}

interface FileReader {
  readonly entry: TarEntry;
  push(data: Uint8Array): void;
  finish(): ReadFile;
}

function readFile(
  entry: TarEntry,
  { sketcher, middle }: { sketcher: ContentSketcher; middle: MiddleBytes },
): FileReader {
  const hash = createHash('sha256');
  middle.begin(entry.size);
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
