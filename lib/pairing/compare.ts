import type { Digest } from '../digest.ts';
import { textAt } from '../runtime/column.ts';
import { sampleStart, type Contents } from './signature/contents.ts';
import { createDigestSet, DIGEST_SIZE, type DigestSet } from './signature/digestset.ts';
import type { LayerFiles, Signature } from './signature/signature.ts';
import type { ByteString } from '../image/tar/entry.ts';
import { createNameIndex } from './nameindex.ts';
import { createSampleLevels, type SampleLevels } from './samplelevels.ts';

/** The properties of a layer that a comparison uses. */
export interface LayerView {
  readonly diffID: Digest;
  /** Size of the tar, in bytes. */
  readonly size: number;
  /** Number of entries in the tar. */
  readonly entries: number;
  /** Regular files in the order of the tar. */
  readonly files: LayerFiles;
  /** The contents that `files` refers to by index. */
  readonly contents: Contents;
  /** Actual compressed bytes per estimated compressed byte. */
  readonly scale: number;
}

/** Size of a tar header in a compressed layer, in bytes. */
const COMPRESSED_HEADER = 40;

type Compared = Pick<Signature, 'image' | 'layers' | 'contents'>;

/** The layers of an image, bottom first. Estimated compressed sizes are scaled to the actual layer sizes. */
export function layersOf({ image, layers, contents }: Compared): LayerView[] {
  return layers.map(({ entries, files }, i) => {
    const { diffID, size, pullSize } = image.layers[i]!;
    let estimate = 0;
    for (const content of files.contents) estimate += estimated(contents, content);
    const scale = Math.max(pullSize - entries * COMPRESSED_HEADER, pullSize / 2) / Math.max(estimate, 1);
    return { diffID, size, entries, files, contents, scale };
  });
}

/** The layers of several images as one source. A layer that several images share is listed once. */
export function layersOfAll(signatures: readonly Compared[]): LayerView[] {
  if (signatures.length === 1) return layersOf(signatures[0]!);
  return [...new Map(signatures.flatMap(layersOf).map((layer) => [layer.diffID, layer])).values()];
}

function estimated({ sizes, densities }: Contents, content: number): number {
  return sizes[content]! * densities[content]!;
}

function pathOf({ paths }: LayerFiles, i: number): ByteString {
  return textAt(paths, i).replace(/^(\.?\/)+/, '');
}

/** The parts of a target's layer stream, by how much of them its source already has. */
export interface Comparison {
  /** Uncompressed bytes of the layers that both images have. */
  readonly sharedLayerBytes: number;
  /** Number of tar entries in the target's other layers. */
  readonly entries: number;
  /** Bytes of files whose content exists in the source, under any path, or earlier in the target. */
  readonly identicalBytes: number;
  /** Bytes of files with similar content in the source or earlier in the target. */
  readonly changedBytes: number;
  /** Bytes of files without similar content in either. */
  readonly newBytes: number;
  /** The files behind `changedBytes` and `newBytes`, each content once. */
  readonly files: readonly ComparedFile[];
}

export interface ComparedFile {
  /** The content's index in the target's contents. */
  readonly content: number;
  readonly size: number;
  /** Estimated size under gzip, in bytes. */
  readonly compressed: number;
  /** Whether the source has a file with the same path, or with the same name when numbers are ignored. */
  readonly hasCounterpart: boolean;
  /**
   * Share of the file that exists in the source or earlier in the target, above 0 and below 1. Undefined for files that
   * are too small to be sampled.
   */
  readonly similarity?: number;
}

/** Files with fewer samples have no `similarity`. */
const LEAST_SAMPLES = 4;
/** Files below this similarity count as new. */
const LEAST_SIMILARITY = 0.1;

/** One content in the table of one image. */
interface Content {
  readonly contents: Contents;
  readonly index: number;
}

/** Lookup tables over the contents of a source. */
export interface SourceIndex {
  readonly diffIDs: ReadonlySet<Digest>;
  readonly digests: Pick<DigestSet, 'has'>;
  /** The file with this path; else, of the files with the same family name, the one nearest in size. */
  counterpart(path: ByteString, size: number): Content | undefined;
  readonly samples: SampleLevels;
}

function addSamples(known: SampleLevels, contents: Contents, content: number): void {
  const level = contents.levels[content]!;
  const end = contents.sampleEnds[content]!;
  for (let k = sampleStart(contents, content); k < end; k++) known.add(contents.samples[k]!, level);
}

export function indexSource(layers: readonly LayerView[]): SourceIndex {
  const byPath = new Map<ByteString, number>();
  const byName = createNameIndex();
  const digests = createDigestSet();
  const samples = createSampleLevels();
  // files are numbered across all layers; `starts` has the first number of each layer
  const starts: number[] = [];
  let count = 0;
  for (const { files, contents } of layers) {
    starts.push(count);
    for (const [i, content] of files.contents.entries()) {
      const path = pathOf(files, i);
      byPath.set(path, count);
      byName.add(familyName(path), contents.sizes[content]!);
      count++;
      if (digests.add(contents.digests, content * DIGEST_SIZE).isNew) addSamples(samples, contents, content);
    }
  }
  const fileAt = (file: number): Content => {
    const layer = starts.findLastIndex((start) => start <= file);
    const { files, contents } = layers[layer]!;
    return { contents, index: files.contents[file - starts[layer]!]! };
  };
  return {
    diffIDs: new Set(layers.map(({ diffID }) => diffID)),
    digests,
    counterpart(path, size) {
      const file = byPath.get(path) ?? byName.closest(familyName(path), size);
      return file === undefined ? undefined : fileAt(file);
    },
    samples,
  };
}

export function compareLayers(target: readonly LayerView[], source: SourceIndex): Comparison {
  const compared: ComparedFile[] = [];
  let sharedLayerBytes = 0;
  let entries = 0;
  let identicalBytes = 0;
  let changedBytes = 0;
  let newBytes = 0;
  const seen = createDigestSet();
  // a patch can copy from the part of the target that it has already built
  const built = createSampleLevels();
  for (const layer of target) {
    const { files, contents } = layer;
    const isShared = source.diffIDs.has(layer.diffID);
    if (isShared) sharedLayerBytes += layer.size;
    else entries += layer.entries;
    for (const [i, content] of files.contents.entries()) {
      const size = contents.sizes[content]!;
      const at = content * DIGEST_SIZE;
      if (isShared || source.digests.has(contents.digests, at) || seen.has(contents.digests, at)) {
        identicalBytes += size;
      } else {
        const file = compareFile(layer, i, source, built);
        compared.push(file);
        addSamples(built, contents, content);
        if (isChanged(file)) changedBytes += size;
        else newBytes += size;
      }
      seen.add(contents.digests, at);
    }
  }
  return { sharedLayerBytes, entries, identicalBytes, changedBytes, newBytes, files: compared };
}

/** Whether a file counts as changed; otherwise it counts as new. */
export function isChanged({ similarity, hasCounterpart }: ComparedFile): boolean {
  return similarity === undefined ? hasCounterpart : similarity > LEAST_SIMILARITY;
}

function compareFile(
  { files, contents, scale }: LayerView,
  i: number,
  source: SourceIndex,
  built: SampleLevels,
): ComparedFile {
  const content = { contents, index: files.contents[i]! };
  const size = contents.sizes[content.index]!;
  const compressed = Math.min(estimated(contents, content.index) * scale, size);
  const counterpart = source.counterpart(pathOf(files, i), size);
  const known = { content: content.index, size, compressed, hasCounterpart: counterpart !== undefined };
  const samples = contents.sampleEnds[content.index]! - sampleStart(contents, content.index);
  if (samples < LEAST_SAMPLES) return known;
  const beside = counterpart === undefined ? 0 : similarityTo(counterpart, content);
  const found = Math.max(beside, containment(content, source.samples, built));
  // one extra sample that matches by half keeps the estimate above 0 and below 1: the files differ, but unsampled parts
  // may be equal
  const similarity = (found * samples + 0.5) / (samples + 1);
  return { ...known, similarity };
}

/**
 * Estimated share of a content that exists in other contents, 0 to 1. A sample that the others keep at a higher level
 * counts several times, for the samples that they dropped.
 */
function containment({ contents, index }: Content, source: SampleLevels, built: SampleLevels): number {
  const level = contents.levels[index]!;
  const start = sampleStart(contents, index);
  const end = contents.sampleEnds[index]!;
  let found = 0;
  for (let k = start; k < end; k++) {
    const sample = contents.samples[k]!;
    const kept = source.get(sample) ?? built.get(sample);
    if (kept !== undefined) found += 2 ** Math.max(0, kept - level);
  }
  return Math.min(1, found / (end - start));
}

/** Estimated share of a content that exists in one other content, 0 to 1. */
function similarityTo(other: Content, { contents, index }: Content): number {
  const divisor = 2 ** Math.max(contents.levels[index]!, other.contents.levels[other.index]!);
  const otherEnd = other.contents.sampleEnds[other.index]!;
  let at = sampleStart(other.contents, other.index);
  let common = 0;
  let all = 0;
  const end = contents.sampleEnds[index]!;
  for (let k = sampleStart(contents, index); k < end; k++) {
    const sample = contents.samples[k]!;
    if (sample % divisor !== 0) continue;
    all++;
    while (at < otherEnd && other.contents.samples[at]! < sample) at++;
    if (at < otherEnd && other.contents.samples[at] === sample) common++;
  }
  return all === 0 ? 0 : common / all;
}

/** The last component of a path with each number replaced by 0, so that libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
export function familyName(path: ByteString): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\d+/g, '0');
}
