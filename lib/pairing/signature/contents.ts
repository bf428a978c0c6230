import type { Digest } from '../../digest.ts';
import { bytesColumn, numbersColumn, wordsColumn } from '../../runtime/column.ts';
import type { ContentSketch } from './contentsketch.ts';
import { createDigestSet, digestAt, digestBytes, type Digests } from './digestset.ts';

/** A content: its samples are empty where it is short. */
export interface ContentRecord extends ContentSketch {
  readonly digest: Digest;
  readonly size: number;
}

/** Contents, each once, in columns. */
export interface Contents {
  readonly digests: Digests;
  readonly sizes: Float64Array;
  readonly densities: Float64Array;
  readonly levels: Uint8Array;
  /** Of all, one behind the other. */
  readonly samples: Uint32Array;
  /** Where those of each end in `samples`. */
  readonly sampleEnds: Uint32Array;
}

export interface ContentsBuilder {
  readonly length: number;
  /** Gives its index; of a content that is there already that of the first one. */
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

/** Where the first sample of a content is in `samples`; its last one is before the first of the next. */
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
