import { hash } from 'node:crypto';
import type { Digest } from '../../digest.ts';
import { createdOf, type ImageRecord } from '../../image/record.ts';
import type { ByteString } from '../../image/tar/entry.ts';
import { textAt } from '../../runtime/column.ts';
import { sampleStart, type Contents } from './contents.ts';
import { MAX_LEVEL, MAX_SAMPLES } from './contentsketch.ts';
import { DIGEST_SIZE, digestKey } from './digestset.ts';
import { recipeSizeOf } from './recipesize.ts';
import type { LayerTable, Signature } from './signature.ts';
import { columnChecks, openTable, packTable, type Columns, type Scheme } from './table.ts';

/**
 * The part of a signature that comparisons use, in columns that are sorted once, so that two images are compared by
 * merging. Contents are numbered in the order of their first files in the layer stream, and files in that order.
 *
 * A key is the first 53 bits of a SHA-256: of a content, of a path, or of a family name (`familyName`). Among a million
 * keys two are equal with a probability of 1 in 18,000.
 */
export const PROFILE = {
  sizes: [Float64Array, 'contents'],
  densities: [Float64Array, 'contents'],
  /** Keys of the contents, ascending. */
  contentKeys: [Float64Array, 'contents'],
  /** Keys of the paths, without repeats, ascending. */
  pathKeys: [Float64Array, 'paths'],
  /** Keys of the family names, without repeats, ascending. */
  familyKeys: [Float64Array, 'families'],
  /** The contents in the order of their keys. */
  keyedContents: [Uint32Array, 'contents'],
  /** The first file of each content. */
  firstFiles: [Uint32Array, 'contents'],
  /** The end of each content's samples in `sampleValues`. */
  sampleEnds: [Uint32Array, 'contents'],
  /** The samples of all contents: indices into `values`, ascending in each content. */
  sampleValues: [Uint32Array, 'samples'],
  /** The values of all samples, without repeats, ascending. */
  values: [Uint32Array, 'values'],
  /** The last file with each path. */
  pathFiles: [Uint32Array, 'paths'],
  /** The end of each family in `familyFiles`. */
  familyEnds: [Uint32Array, 'families'],
  /** The files of all families; in each family by size, then by number. */
  familyFiles: [Uint32Array, 'files'],
  /** The content of each file. */
  fileContents: [Uint32Array, 'files'],
  /** The index of each file's path in `pathKeys`. */
  filePaths: [Uint32Array, 'files'],
  /** The index of each file's family in `familyKeys`. */
  fileFamilies: [Uint32Array, 'files'],
  /** The end of each layer's files. */
  layerEnds: [Uint32Array, 'layers'],
  /** The level of each content's samples. */
  levels: [Uint8Array, 'contents'],
  /** The lowest level at which a content keeps each value. */
  valueLevels: [Uint8Array, 'values'],
} as const satisfies Scheme;

export type ProfileColumns = Columns<typeof PROFILE>;

/** The properties of an image that a ranking uses beside the columns. */
export interface ProfileHead {
  readonly manifest: Digest;
  /** Bottom first. */
  readonly layers: readonly ProfileLayer[];
  /** Seconds since 1970; undefined if the config has no time. */
  readonly created?: number;
  /** Null if the image has none. */
  readonly tlsh: string | null;
  /** Bytes of the recipe of a patch to this image, without the source's layers. */
  readonly recipeSize: number;
}

export interface ProfileLayer {
  readonly diffID: Digest;
  /** Size of the tar, in bytes. */
  readonly size: number;
  readonly pullSize: number;
  /** Number of entries in the tar. */
  readonly entries: number;
}

export interface Profile extends ProfileHead {
  readonly columns: ProfileColumns;
}

export function profileHead({
  image,
  tlsh,
  layers,
}: {
  readonly image: ImageRecord;
  readonly tlsh: string | null;
  readonly layers: readonly Pick<LayerTable, 'entries'>[];
}): ProfileHead {
  const created = createdOf(image);
  return {
    manifest: image.manifest,
    layers: image.layers.map(({ diffID, size, pullSize }, i) => ({
      diffID,
      size,
      pullSize,
      entries: layers[i]!.entries,
    })),
    ...(created !== undefined && { created }),
    tlsh,
    recipeSize: recipeSizeOf(image),
  };
}

/** The profile of a signature in memory. */
export function profileOf(signature: Signature): Profile {
  return { ...profileHead(signature), columns: profileColumns(signature) };
}

/** Writes the columns of a signature to one table. */
export function packProfile(signature: Pick<Signature, 'layers' | 'contents'>): Buffer<ArrayBuffer> {
  return packTable(PROFILE, profileColumns(signature));
}

function profileColumns({ layers, contents }: Pick<Signature, 'layers' | 'contents'>): ProfileColumns {
  const { sizes, densities, levels, sampleEnds } = contents;
  let end = 0;
  const layerEnds = Uint32Array.from(layers, ({ files }) => (end += files.contents.length));
  const fileContents = new Uint32Array(end);
  for (const [i, { files }] of layers.entries())
    fileContents.set(files.contents, layerEnds[i]! - files.contents.length);
  const byPath = indexOf(fileContents.length, pathsOf(layers));
  const byFamily = indexOf(fileContents.length, pathsOf(layers).map(familyName));
  return {
    sizes,
    densities,
    ...contentKeysOf(contents),
    pathKeys: byPath.keys,
    familyKeys: byFamily.keys,
    firstFiles: firstFilesOf(fileContents, sizes.length),
    sampleEnds,
    ...samplesOf(contents),
    pathFiles: lastOf(byPath.rows, byPath.keys.length),
    ...familiesOf(byFamily.rows, byFamily.keys.length, (file) => sizes[fileContents[file]!]!),
    fileContents,
    filePaths: byPath.rows,
    fileFamilies: byFamily.rows,
    layerEnds,
    levels,
  };
}

/** The paths of all files, without a leading `./` or `/`. */
function* pathsOf(layers: readonly Pick<LayerTable, 'files'>[]): Generator<ByteString, void, void> {
  for (const { files } of layers) {
    for (const i of files.contents.keys()) yield textAt(files.paths, i).replace(/^(\.?\/)+/, '');
  }
}

/** The last component of a path with each number replaced by 0, so that libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
export function familyName(path: ByteString): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\d+/g, '0');
}

function contentKeysOf({ digests, sizes }: Contents) {
  const all = Float64Array.from(sizes, (_, i) => digestKey(digests, i * DIGEST_SIZE));
  const keyedContents = Uint32Array.from(sizes, (_, i) => i).sort((a, b) => all[a]! - all[b]! || a - b);
  return { contentKeys: Float64Array.from(keyedContents, (content) => all[content]!), keyedContents };
}

/** The keys of `count` texts without repeats, ascending, and for each text the index of its key. */
function indexOf(count: number, texts: Iterable<ByteString>) {
  const all = new Float64Array(count);
  let row = 0;
  for (const text of texts) all[row++] = digestKey(hash('sha256', Buffer.from(text, 'latin1'), 'buffer'));
  const keys = withoutRepeats(all.slice().sort());
  return { keys, rows: Uint32Array.from(all, (key) => placeOf(keys, key)) };
}

/** The index of a value in an ascending column that contains it. */
function placeOf(ascending: Float64Array | Uint32Array, value: number, from = 0): number {
  let low = from;
  for (let high = ascending.length; ascending[low] !== value;) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}

function withoutRepeats<Values extends Float64Array | Uint32Array>(sorted: Values): Values {
  return sorted.filter((value, i) => i === 0 || value !== sorted[i - 1]) as Values;
}

function firstFilesOf(fileContents: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const first = new Uint32Array(count);
  for (let file = fileContents.length - 1; file >= 0; file--) first[fileContents[file]!] = file;
  return first;
}

function lastOf(rows: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const last = new Uint32Array(count);
  for (const [file, row] of rows.entries()) last[row] = file;
  return last;
}

function familiesOf(families: Uint32Array, count: number, sizeOf: (file: number) => number) {
  const familyFiles = Uint32Array.from(families, (_, file) => file).sort(
    (a, b) => families[a]! - families[b]! || sizeOf(a) - sizeOf(b) || a - b,
  );
  const familyEnds = new Uint32Array(count);
  for (const [at, file] of familyFiles.entries()) familyEnds[families[file]!] = at + 1;
  return { familyFiles, familyEnds };
}

function samplesOf(contents: Contents) {
  const { samples, sampleEnds, levels } = contents;
  const values = withoutRepeats(Uint32Array.from(samples).sort());
  const valueLevels = new Uint8Array(values.length).fill(MAX_LEVEL);
  const sampleValues = new Uint32Array(samples.length);
  for (const [content, end] of sampleEnds.entries()) {
    // both are ascending
    let low = 0;
    for (let k = sampleStart(contents, content); k < end; k++) {
      low = placeOf(values, samples[k]!, low);
      sampleValues[k] = low;
      valueLevels[low] = Math.min(valueLevels[low]!, levels[content]!);
    }
  }
  return { sampleValues, values, valueLevels };
}

/**
 * Opens a table of columns, and checks each column as a whole: a comparison then reads nothing outside of them.
 *
 * @param layers number of layers of the image
 * @throws PanamaxError `bad-input`
 */
export function openProfile(table: ArrayBufferLike, layers: number, where: string): ProfileColumns {
  const columns = openTable(PROFILE, table, where);
  const { sizes, fileContents, sampleEnds, sampleValues, values, familyKeys, pathKeys } = columns;
  const [contents, files] = [sizes.length, fileContents.length];
  const checks = columnChecks(where);
  const below = (name: keyof ProfileColumns, count: number) =>
    checks.between(name, columns[name], 0, count - 1);
  checks.sizes('sizes', sizes);
  checks.between('densities', columns.densities, 0, 1);
  below('levels', MAX_LEVEL + 1);
  below('valueLevels', MAX_LEVEL + 1);
  checks.permutation('keyedContents', columns.keyedContents, contents);
  for (const name of ['pathKeys', 'familyKeys', 'values', 'firstFiles'] as const)
    checks.ascending(name, columns[name]);
  let before = 0;
  for (const key of columns.contentKeys) {
    if (!(key >= before && key < Infinity)) checks.refuse('contentKeys', 'ascending numbers', key);
    before = key;
  }
  below('fileContents', contents);
  below('firstFiles', files);
  for (let content = 0; content < contents; content++) {
    if (fileContents[columns.firstFiles[content]!] !== content)
      checks.refuse('firstFiles', `a file of content ${content}`, columns.firstFiles[content]!);
  }
  below('filePaths', pathKeys.length);
  below('fileFamilies', familyKeys.length);
  below('pathFiles', files);
  checks.permutation('familyFiles', columns.familyFiles, files);
  checks.ends('familyEnds', columns.familyEnds, files, 1);
  checks.ends('layerEnds', columns.layerEnds, files);
  if (columns.layerEnds.length !== layers)
    checks.refuse('layerEnds', `${layers} layers`, columns.layerEnds.length);
  checks.ends('sampleEnds', sampleEnds, sampleValues.length);
  below('sampleValues', values.length);
  let start = 0;
  for (let content = 0; content < contents; content++) {
    const end = sampleEnds[content]!;
    if (end - start > MAX_SAMPLES) checks.refuse('sampleEnds', `at most ${MAX_SAMPLES} samples`, end - start);
    for (let k = start + 1; k < end; k++) {
      if (sampleValues[k]! <= sampleValues[k - 1]!)
        checks.refuse('sampleValues', 'ascending numbers in a content', sampleValues[k]!);
    }
    start = end;
  }
  return columns;
}
