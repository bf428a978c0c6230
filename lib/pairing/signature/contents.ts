import type { Digest } from '../../digest.ts';
import { bytesColumn, numbersColumn, wordsColumn } from '../../runtime/column.ts';
import type { ContentSketch } from './contentsketch.ts';
import { createDigestSet, digestAt, digestBytes, type Digests } from './digestset.ts';

/** The bytes of a regular file, described once for all files that have them. Short contents have no samples. */
export interface ContentRecord extends ContentSketch {
  readonly digest: Digest;
  readonly size: number;
}

/** A table of distinct contents, in columns. */
export interface Contents {
  readonly digests: Digests;
  readonly sizes: Float64Array;
  readonly densities: Float64Array;
  readonly levels: Uint8Array;
  /** The samples of all contents, concatenated. */
  readonly samples: Uint32Array;
  /** The end of each content's samples in `samples`. */
  readonly sampleEnds: Uint32Array;
}

export interface ContentsBuilder {
  readonly length: number;
  /** @returns the content's index; a digest that was added before keeps its first index */
  add(digest: Uint8Array, size: number, sketch: ContentSketch): number;
  finish(): Contents;
}

export function createContents(): ContentsBuilder {
  const digests = createDigestSet();
  const sizes = numbersColumn();
  const densities = numbersColumn();
  const levels = bytesColumn();
  const samples = wordsColumn();
  const sampleEnds = wordsColumn();
  return {
    get length() {
      return digests.size;
    },
    add(digest, size, sketch) {
      const { index, isNew } = digests.add(digest);
      if (!isNew) return index;
      sizes.push(size);
      densities.push(sketch.density);
      levels.push(sketch.level);
      samples.append(sketch.samples);
      sampleEnds.push(samples.length);
      return index;
    },
    finish: () => ({
      digests: digests.finish(),
      sizes: sizes.finish(),
      densities: densities.finish(),
      levels: levels.finish(),
      samples: samples.finish(),
      sampleEnds: sampleEnds.finish(),
    }),
  };
}

export function contentsOf(records: Iterable<ContentRecord>): Contents {
  const builder = createContents();
  for (const { digest, size, ...sketch } of records) builder.add(digestBytes(digest), size, sketch);
  return builder.finish();
}

export function contentCount({ sizes }: Contents): number {
  return sizes.length;
}

/** The start of a content's samples in `samples`. */
export function sampleStart({ sampleEnds }: Contents, i: number): number {
  return i === 0 ? 0 : sampleEnds[i - 1]!;
}

export function contentAt(contents: Contents, i: number): ContentRecord {
  return {
    digest: digestAt(contents.digests, i),
    size: contents.sizes[i]!,
    density: contents.densities[i]!,
    level: contents.levels[i]!,
    samples: contents.samples.subarray(sampleStart(contents, i), contents.sampleEnds[i]),
  };
}
