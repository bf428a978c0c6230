import type { Digest } from '../../lib/digest.ts';
import { textAt } from '../../lib/runtime/column.ts';
import { contentAt, type ContentRecord } from '../../lib/pairing/signature/contents.ts';
import { familyName } from '../../lib/pairing/signature/profile.ts';
import type { LayerTable, Signature } from '../../lib/pairing/signature/signature.ts';

/** A comparison as docs/pairing.md describes it, file by file with maps of strings: slow, and short enough to be checked by eye. */

interface PlainFile {
  readonly path: string;
  readonly content: ContentRecord;
}

interface PlainLayer {
  readonly diffID: Digest;
  readonly size: number;
  readonly entries: number;
  readonly files: readonly PlainFile[];
  readonly scale: number;
}

export interface PlainContent {
  readonly digest: Digest;
  readonly compressed: number;
  readonly hasCounterpart: boolean;
  /** Undefined for contents with fewer than 4 samples. */
  readonly similarity: number | undefined;
}

function layersOf({ image, layers, contents }: Signature): PlainLayer[] {
  return layers.map(({ entries, files }: LayerTable, i) => {
    const { diffID, size, pullSize } = image.layers[i]!;
    const list = Array.from(files.contents, (content, k) => ({
      path: textAt(files.paths, k).replace(/^(\.?\/)+/, ''),
      content: contentAt(contents, content),
    }));
    const estimate = list.reduce((sum, { content }) => sum + content.size * content.density, 0);
    const scale = Math.max(pullSize - entries * 40, pullSize / 2) / Math.max(estimate, 1);
    return { diffID, size, entries, files: list, scale };
  });
}

function sourceLayers(sources: readonly Signature[]): PlainLayer[] {
  const layers = sources.flatMap(layersOf);
  return sources.length === 1 ? layers : [...new Map(layers.map((layer) => [layer.diffID, layer])).values()];
}

/** The lowest level at which each sample is kept. */
function addSamples(known: Map<number, number>, { samples, level }: ContentRecord): void {
  for (const sample of samples) known.set(sample, Math.min(level, known.get(sample) ?? Infinity));
}

export function comparePlainly(target: Signature, sources: readonly Signature[]) {
  const layers = sourceLayers(sources);
  const files = layers.flatMap((layer) => layer.files);
  const diffIDs = new Set(layers.map(({ diffID }) => diffID));
  const there = new Set(files.map(({ content }) => content.digest));
  const inSource = new Map<number, number>();
  for (const { content } of files) addSamples(inSource, content);
  const counterpartOf = (file: PlainFile): ContentRecord | undefined => {
    const same = files.findLast(({ path }) => path === file.path);
    if (same) return same.content;
    const far = (one: PlainFile) => Math.abs(one.content.size - file.content.size);
    return files
      .filter(({ path }) => familyName(path) === familyName(file.path))
      .toSorted((a, b) => far(a) - far(b))[0]?.content;
  };
  const built = new Map<number, number>();
  const compared: PlainContent[] = [];
  let [sharedLayerBytes, entries, identicalBytes, changedBytes, newBytes] = [0, 0, 0, 0, 0];
  for (const layer of layersOf(target)) {
    if (diffIDs.has(layer.diffID)) sharedLayerBytes += layer.size;
    else entries += layer.entries;
    for (const file of layer.files) {
      const { digest, size, density, samples } = file.content;
      if (there.has(digest)) {
        identicalBytes += size;
        continue;
      }
      there.add(digest);
      const counterpart = counterpartOf(file);
      let similarity: number | undefined;
      if (samples.length >= 4) {
        const found = Math.max(
          counterpart ? similarityTo(counterpart, file.content) : 0,
          containment(file.content, inSource, built),
        );
        similarity = (found * samples.length + 0.5) / (samples.length + 1);
      }
      addSamples(built, file.content);
      const hasCounterpart = counterpart !== undefined;
      if (similarity === undefined ? hasCounterpart : similarity > 0.1) changedBytes += size;
      else newBytes += size;
      const compressed = Math.min(size * density * layer.scale, size);
      compared.push({ digest, compressed, hasCounterpart, similarity });
    }
  }
  return { sharedLayerBytes, entries, identicalBytes, changedBytes, newBytes, contents: compared };
}

function containment(
  { samples, level }: ContentRecord,
  inSource: ReadonlyMap<number, number>,
  built: ReadonlyMap<number, number>,
): number {
  let found = 0;
  for (const sample of samples) {
    const kept = inSource.get(sample) ?? built.get(sample);
    if (kept !== undefined) found += 2 ** Math.max(0, kept - level);
  }
  return Math.min(1, found / samples.length);
}

function similarityTo(other: ContentRecord, { samples, level }: ContentRecord): number {
  const divisor = 2 ** Math.max(level, other.level);
  const known = new Set(other.samples);
  const all = [...samples].filter((sample) => sample % divisor === 0);
  return all.length === 0 ? 0 : all.filter((sample) => known.has(sample)).length / all.length;
}
