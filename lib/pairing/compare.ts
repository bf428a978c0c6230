import type { Digest } from '../oci/descriptor.ts';
import type { ContentRecord, Signature } from '../signature/signature.ts';
import type { ByteString } from '../tar/entry.ts';

/** A layer as a comparison sees it. */
export interface LayerView {
  readonly diffID: Digest;
  /** Of its tar, in bytes. */
  readonly size: number;
  readonly entries: number;
  readonly files: readonly FileView[];
}

/** A regular file of a layer. */
export interface FileView {
  readonly path: ByteString;
  readonly content: ContentRecord;
  /** What the layer's compression makes of it, in bytes; estimated. */
  readonly compressed: number;
}

/** What a header costs in a compressed layer, in bytes. */
const COMPRESSED_HEADER = 40;

/**
 * The layers of an image, bottom first. Estimates of compressed sizes are scaled to what the layers really weigh.
 */
export function layersOf(signature: Pick<Signature, 'image' | 'layers' | 'contents'>): LayerView[] {
  const { image, layers, contents } = signature;
  return layers.map(({ entries, files }, i) => {
    const { diffID, size, pullSize } = image.layers[i]!;
    const estimate = files.reduce((sum, { content }) => sum + estimated(contents[content]!), 0);
    const scale = Math.max(pullSize - entries * COMPRESSED_HEADER, pullSize / 2) / Math.max(estimate, 1);
    return {
      diffID,
      size,
      entries,
      files: files.map(({ path, content }) => {
        const record = contents[content]!;
        return {
          path: cleaned(path),
          content: record,
          compressed: Math.min(estimated(record) * scale, record.size),
        };
      }),
    };
  });
}

/** The layers of several images as one source, each layer once. */
export function layersOfAll(
  signatures: readonly Pick<Signature, 'image' | 'layers' | 'contents'>[],
): LayerView[] {
  if (signatures.length === 1) return layersOf(signatures[0]!);
  return [...new Map(signatures.flatMap(layersOf).map((layer) => [layer.diffID, layer])).values()];
}

function estimated({ size, density }: ContentRecord): number {
  return size * density;
}

function cleaned(path: ByteString): ByteString {
  return path.replace(/^(\.?\/)+/, '');
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
  readonly digest: Digest;
  readonly path: ByteString;
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

/** The contents of a source, to be looked up. */
export interface SourceIndex {
  readonly diffIDs: ReadonlySet<Digest>;
  readonly digests: ReadonlySet<Digest>;
  readonly byPath: ReadonlyMap<ByteString, ContentRecord>;
  readonly byName: ReadonlyMap<ByteString, readonly ContentRecord[]>;
  /** Of each sample the lowest level it is kept at. */
  readonly samples: SampleLevels;
}

type SampleLevels = ReadonlyMap<number, number>;

function addSamples(levels: Map<number, number>, { samples, level }: ContentRecord): void {
  for (const sample of samples) {
    const known = levels.get(sample);
    if (known === undefined || known > level) levels.set(sample, level);
  }
}

export function indexSource(layers: readonly LayerView[]): SourceIndex {
  const byPath = new Map<ByteString, ContentRecord>();
  const byName = new Map<ByteString, ContentRecord[]>();
  const digests = new Set<Digest>();
  const samples = new Map<number, number>();
  for (const { files } of layers) {
    for (const { path, content } of files) {
      byPath.set(path, content);
      const name = familyName(path);
      const group = byName.get(name);
      if (group) group.push(content);
      else byName.set(name, [content]);
      if (digests.has(content.digest)) continue;
      digests.add(content.digest);
      addSamples(samples, content);
    }
  }
  return { diffIDs: new Set(layers.map(({ diffID }) => diffID)), digests, byPath, byName, samples };
}

export function compareLayers(target: readonly LayerView[], source: SourceIndex): Comparison {
  const files: ComparedFile[] = [];
  let sharedLayerBytes = 0;
  let entries = 0;
  let identicalBytes = 0;
  let changedBytes = 0;
  let newBytes = 0;
  const seen = new Set<Digest>();
  // what a patch has built it can build on
  const built = new Map<number, number>();
  for (const layer of target) {
    const isShared = source.diffIDs.has(layer.diffID);
    if (isShared) sharedLayerBytes += layer.size;
    else entries += layer.entries;
    for (const file of layer.files) {
      const { digest, size } = file.content;
      if (isShared || source.digests.has(digest) || seen.has(digest)) {
        identicalBytes += size;
      } else {
        const compared = compareFile(file, source, built);
        files.push(compared);
        addSamples(built, file.content);
        if (isChanged(compared)) changedBytes += size;
        else newBytes += size;
      }
      seen.add(digest);
    }
  }
  return { sharedLayerBytes, entries, identicalBytes, changedBytes, newBytes, files };
}

/** Whether a file counts as changed, or as new. */
export function isChanged({ similarity, hasCounterpart }: ComparedFile): boolean {
  return similarity === undefined ? hasCounterpart : similarity > LEAST_SIMILARITY;
}

function compareFile(
  { path, content, compressed }: FileView,
  source: SourceIndex,
  built: SampleLevels,
): ComparedFile {
  const { digest, size, samples } = content;
  const counterpart = source.byPath.get(path) ?? closest(source.byName.get(familyName(path)), size);
  const known = { digest, path, size, compressed, hasCounterpart: counterpart !== undefined };
  if (samples.length < LEAST_SAMPLES) return known;
  const beside = counterpart === undefined ? 0 : similarityTo(counterpart, content);
  const found = Math.max(beside, containment(content, source.samples, built));
  // neither all nor nothing: the files differ, and what was not sampled may be common
  const similarity = (found * samples.length + 0.5) / (samples.length + 1);
  return { ...known, similarity };
}

/** How much of a content is in others, 0 to 1. A sample that the others keep at a higher level stands for those they left out. */
function containment({ samples, level }: ContentRecord, source: SampleLevels, built: SampleLevels): number {
  let found = 0;
  for (const sample of samples) {
    const kept = source.get(sample) ?? built.get(sample);
    if (kept !== undefined) found += 2 ** Math.max(0, kept - level);
  }
  return Math.min(1, found / samples.length);
}

/** How much of a content is in another one, 0 to 1. */
function similarityTo(other: ContentRecord, content: ContentRecord): number {
  const divisor = 2 ** Math.max(content.level, other.level);
  let common = 0;
  let all = 0;
  let at = 0;
  for (const sample of content.samples) {
    if (sample % divisor !== 0) continue;
    all++;
    while (at < other.samples.length && other.samples[at]! < sample) at++;
    if (other.samples[at] === sample) common++;
  }
  return all === 0 ? 0 : common / all;
}

function closest(contents: readonly ContentRecord[] | undefined, size: number): ContentRecord | undefined {
  return contents?.reduce((best, one) =>
    Math.abs(one.size - size) < Math.abs(best.size - size) ? one : best,
  );
}

/** The last component of a path with its numbers taken out: libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
export function familyName(path: ByteString): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\d+/g, '0');
}
