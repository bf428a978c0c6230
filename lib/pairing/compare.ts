import type { Digest } from '../digest.ts';
import { textAt } from '../runtime/column.ts';
import { sampleStart, type Contents } from './signature/contents.ts';
import { createDigestSet, DIGEST_SIZE, type DigestSet } from './signature/digestset.ts';
import type { LayerFiles, Signature } from './signature/signature.ts';
import type { ByteString } from '../image/tar/entry.ts';
import { createNames } from './names.ts';
import { createSampleLevels, type SampleLevels } from './samplelevels.ts';

/** A layer as a comparison sees it. */
export interface LayerView {
  readonly diffID: Digest;
  /** Of its tar, in bytes. */
  readonly size: number;
  readonly entries: number;
  /** Regular files in the order of the tar. */
  readonly files: LayerFiles;
  /** What `files` has the indices of. */
  readonly contents: Contents;
  /** Compressed bytes per estimated compressed byte. */
  readonly scale: number;
}

/** What a header costs in a compressed layer, in bytes. */
const COMPRESSED_HEADER = 40;

type Compared = Pick<Signature, 'image' | 'layers' | 'contents'>;

/**
 * The layers of an image, bottom first. Estimates of compressed sizes are scaled to what the layers really weigh.
 */
export function layersOf({ image, layers, contents }: Compared): LayerView[] {
  return layers.map(({ entries, files }, i) => {
    const { diffID, size, pullSize } = image.layers[i]!;
    let estimate = 0;
    for (const content of files.contents) estimate += estimated(contents, content);
    const scale = Math.max(pullSize - entries * COMPRESSED_HEADER, pullSize / 2) / Math.max(estimate, 1);
    return { diffID, size, entries, files, contents, scale };
  });
}

/** The layers of several images as one source, each layer once. */
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

/** How the layer stream of a target is made of that of a source. */
export interface Comparison {
  /** Uncompressed bytes of layers that both have. */
  readonly sharedLayerBytes: number;
  /** Entries in the tars of the target's other layers. */
  readonly entries: number;
  /** Bytes of files whose content the source has under whatever path, or the target before. */
  readonly identicalBytes: number;
  /** Bytes of files that the source, or the target before, has something similar to. */
  readonly changedBytes: number;
  /** Bytes of files that neither has anything like. */
  readonly newBytes: number;
  /** The files behind `changedBytes` and `newBytes`, each content once. */
  readonly files: readonly ComparedFile[];
}

export interface ComparedFile {
  /** The content's index in the target's contents. */
  readonly content: number;
  readonly size: number;
  /** What gzip makes of it, in bytes; estimated. */
  readonly compressed: number;
  /** Whether the source has a file of the same path, or of the same name but for numbers. */
  readonly hasCounterpart: boolean;
  /** Share of it that the source, or the target before, has, above 0 and below 1; undefined for files too small to have been sampled. */
  readonly similarity?: number;
}

/** With fewer samples a file has no known similarity. */
const LEAST_SAMPLES = 4;
/** Below this a file counts as new. */
const LEAST_SIMILARITY = 0.1;

/** A content of one of several images. */
interface Content {
  readonly contents: Contents;
  readonly index: number;
}

/** The contents of a source, to be looked up. */
export interface SourceIndex {
  readonly diffIDs: ReadonlySet<Digest>;
  readonly digests: Pick<DigestSet, 'has'>;
  /** The file of a path, or else that of the same name but for numbers that is nearest in size. */
  counterpart(path: ByteString, size: number): Content | undefined;
  /** Of each sample the lowest level it is kept at. */
  readonly samples: SampleLevels;
}

function addSamples(known: SampleLevels, contents: Contents, content: number): void {
  const level = contents.levels[content]!;
  const end = contents.sampleEnds[content]!;
  for (let k = sampleStart(contents, content); k < end; k++) known.add(contents.samples[k]!, level);
}

export function indexSource(layers: readonly LayerView[]): SourceIndex {
  const byPath = new Map<ByteString, number>();
  const byName = createNames();
  const digests = createDigestSet();
  const samples = createSampleLevels();
  // files are numbered through all layers
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
  // what a patch has built it can build on
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

/** Whether a file counts as changed, or as new. */
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
  // neither all nor nothing: the files differ, and what was not sampled may be common
  const similarity = (found * samples + 0.5) / (samples + 1);
  return { ...known, similarity };
}

/** How much of a content is in others, 0 to 1. A sample that the others keep at a higher level stands for those they left out. */
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

/** How much of a content is in another one, 0 to 1. */
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

/** The last component of a path with its numbers taken out: libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
export function familyName(path: ByteString): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\d+/g, '0');
}
