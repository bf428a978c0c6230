import type { Digest } from '../../digest.ts';
import { textAt, type Texts } from '../../runtime/column.ts';
import type { Layer } from '../../image/open.ts';
import type { RootfsEntry } from '../../image/rootfs.ts';
import type { EntryType } from '../../image/tar/entry.ts';
import type { ByteSample } from './bytesample.ts';
import { sampleStart, type Contents } from './contents.ts';
import { MAX_LEVEL, MAX_SAMPLES } from './contentsketch.ts';
import { DIGEST_SIZE } from './digestset.ts';
import { columnChecks, openTable, type Columns, type Scheme } from './table.ts';

/**
 * What signatures need of one layer, before the layers above it hide entries. Files are the entries of type `file`, in
 * order. Contents are the distinct ones among them, in the order of their first files.
 */
export const LAYER = {
  sizes: [Float64Array, 'entries'],
  /** Offset of each entry in the tar, for errors. */
  offsets: [Float64Array, 'entries'],
  contentSizes: [Float64Array, 'contents'],
  densities: [Float64Array, 'contents'],
  /** Keys of the contents in the layer's byte sample, ascending. */
  middleKeys: [Float64Array, 'middles'],
  pathEnds: [Uint32Array, 'entries'],
  linkEnds: [Uint32Array, 'entries'],
  modes: [Uint32Array, 'entries'],
  uids: [Uint32Array, 'entries'],
  gids: [Uint32Array, 'entries'],
  devMajors: [Uint32Array, 'entries'],
  devMinors: [Uint32Array, 'entries'],
  fileContents: [Uint32Array, 'files'],
  sampleEnds: [Uint32Array, 'contents'],
  samples: [Uint32Array, 'samples'],
  middleEnds: [Uint32Array, 'middles'],
  /** The entry of each extended attribute, not descending. */
  xattrEntries: [Uint32Array, 'xattrs'],
  xattrNameEnds: [Uint32Array, 'xattrs'],
  xattrValueEnds: [Uint32Array, 'xattrs'],
  digests: [Uint8Array, 'contents', DIGEST_SIZE],
  /** Indices into `ENTRY_TYPES`. */
  types: [Uint8Array, 'entries'],
  levels: [Uint8Array, 'contents'],
  pathBytes: [Uint8Array, 'pathBytes'],
  linkBytes: [Uint8Array, 'linkBytes'],
  middleBytes: [Uint8Array, 'middleBytes'],
  xattrNameBytes: [Uint8Array, 'xattrNameBytes'],
  xattrValueBytes: [Uint8Array, 'xattrValueBytes'],
} as const satisfies Scheme;

export type LayerColumns = Columns<typeof LAYER>;

export const ENTRY_TYPES = [
  'file',
  'hardlink',
  'symlink',
  'directory',
  'char',
  'block',
  'fifo',
] as const satisfies readonly EntryType[];

/** A compressed form in which the layer was read. */
export interface LayerBlob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Bytes that a pull transfers for it. */
  readonly pullSize: number;
}

export interface LayerHead {
  /** The digest that the layer's tar had when it was read. */
  readonly diffID: Digest;
  /** Size of the tar, in bytes. */
  readonly size: number;
  /** Zeros that its sparse files expand to, in bytes. */
  readonly zeros: number;
  /** TLSH of the layer's byte sample; null if the files are too small or too uniform. */
  readonly tlsh: string | null;
  readonly blobs: readonly LayerBlob[];
}

/** A layer that has been read. */
export interface LayerSummary extends LayerHead {
  readonly columns: LayerColumns;
}

/** Blobs of which a summary keeps the digests, at most. */
const MAX_BLOBS = 16;

/**
 * Whether a summary was made from the blob of a layer. A config may claim any diffID: only reading the blob tells whether
 * it is true.
 */
export function isSummaryOf(
  { diffID, blobs }: LayerHead,
  { descriptor, diffID: claimed }: Pick<Layer, 'descriptor' | 'diffID'>,
): boolean {
  const { digest, size } = descriptor;
  return diffID === claimed && blobs.some((blob) => blob.digest === digest && blob.size === size);
}

/** A summary with the blobs of an earlier one of the same layer. */
export function withBlobs(summary: LayerSummary, earlier: LayerHead | undefined): LayerSummary {
  if (earlier?.diffID !== summary.diffID) return summary;
  const blobs = new Map([...summary.blobs, ...earlier.blobs].map((blob) => [blob.digest, blob]));
  return { ...summary, blobs: [...blobs.values()].slice(0, MAX_BLOBS) };
}

/** The entries of the layer's tar, in order. Their times are 0, since a signature has none. */
export function* entriesOf(columns: LayerColumns): Generator<RootfsEntry, void, void> {
  const { pathBytes, pathEnds, linkBytes, linkEnds, xattrEntries } = columns;
  const paths = { bytes: pathBytes, ends: pathEnds };
  const links = { bytes: linkBytes, ends: linkEnds };
  const names: Texts = { bytes: columns.xattrNameBytes, ends: columns.xattrNameEnds };
  const values: Texts = { bytes: columns.xattrValueBytes, ends: columns.xattrValueEnds };
  let xattr = 0;
  for (const [i, type] of columns.types.entries()) {
    const xattrs = new Map<string, string>();
    for (; xattrEntries[xattr] === i; xattr++) xattrs.set(textAt(names, xattr), textAt(values, xattr));
    yield {
      offset: columns.offsets[i]!,
      path: textAt(paths, i),
      type: ENTRY_TYPES[type]!,
      size: columns.sizes[i]!,
      linkPath: textAt(links, i),
      mode: columns.modes[i]!,
      uid: columns.uids[i]!,
      gid: columns.gids[i]!,
      mtime: 0,
      devMajor: columns.devMajors[i]!,
      devMinor: columns.devMinors[i]!,
      xattrs,
    };
  }
}

export function contentsIn(columns: LayerColumns): Contents {
  const { digests, contentSizes, densities, levels, samples, sampleEnds } = columns;
  return { digests, sizes: contentSizes, densities, levels, samples, sampleEnds };
}

export function byteSampleIn({ middleKeys, middleEnds, middleBytes }: LayerColumns): ByteSample {
  const middle = (i: number) => middleBytes.subarray(middleEnds[i - 1] ?? 0, middleEnds[i]);
  return new Map(Array.from(middleKeys, (key, i) => [key, middle(i)]));
}

/**
 * Opens a table of layer columns and checks each column as a whole.
 *
 * @throws PanamaxError `bad-input`
 */
export function openLayerColumns(table: ArrayBufferLike, where: string): LayerColumns {
  const columns = openTable(LAYER, table, where);
  const checks = columnChecks(where);
  const { types, fileContents, samples, digests, xattrEntries } = columns;
  checks.between('types', types, 0, ENTRY_TYPES.length - 1);
  const files = types.reduce((count, type) => count + (ENTRY_TYPES[type] === 'file' ? 1 : 0), 0);
  if (fileContents.length !== files) checks.refuse('fileContents', `${files} files`, fileContents.length);
  checks.between('fileContents', fileContents, 0, digests.length / DIGEST_SIZE - 1);
  for (const name of ['sizes', 'offsets', 'contentSizes'] as const) checks.sizes(name, columns[name]);
  checks.between('densities', columns.densities, 0, 1);
  checks.between('levels', columns.levels, 0, MAX_LEVEL);
  checks.ascending('middleKeys', columns.middleKeys);
  checks.between('modes', columns.modes, 0, 0o7777);
  checks.ends('pathEnds', columns.pathEnds, columns.pathBytes.length);
  checks.ends('linkEnds', columns.linkEnds, columns.linkBytes.length);
  checks.ends('middleEnds', columns.middleEnds, columns.middleBytes.length);
  checks.ends('xattrNameEnds', columns.xattrNameEnds, columns.xattrNameBytes.length);
  checks.ends('xattrValueEnds', columns.xattrValueEnds, columns.xattrValueBytes.length);
  for (const [i, entry] of xattrEntries.entries()) {
    if (entry >= types.length || entry < (xattrEntries[i - 1] ?? 0))
      checks.refuse('xattrEntries', `ascending numbers below ${types.length}`, entry);
  }
  checks.ends('sampleEnds', columns.sampleEnds, samples.length);
  const contents = contentsIn(columns);
  for (const [content, end] of columns.sampleEnds.entries()) {
    const start = sampleStart(contents, content);
    if (end - start > MAX_SAMPLES) checks.refuse('sampleEnds', `at most ${MAX_SAMPLES} samples`, end - start);
    for (let k = start + 1; k < end; k++)
      if (samples[k]! <= samples[k - 1]!) checks.refuse('samples', 'ascending numbers', samples[k]!);
  }
  return columns;
}
