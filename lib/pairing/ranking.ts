import { PanamaxError } from '../errors.ts';
import {
  asArray,
  asRecord,
  asSize,
  digestOf,
  parseDigest,
  parseDocument,
  type Digest,
} from '../oci/descriptor.ts';
import { pullSize, streamSize } from '../oci/record.ts';
import type { FileRecord } from '../signature/filetable.ts';
import type { Signature } from '../signature/signature.ts';
import { tlshDistance } from '../signature/tlsh.ts';

/** How well an image would do as the source of a target. */
export interface Candidate {
  readonly source: Digest;
  /** Null where one of the two has no TLSH. Small is near; it misleads across families of images. */
  readonly tlshDistance: number | null;
  /** Bytes of the target's files whose content the source has, under whatever path. */
  readonly identicalBytes: number;
  /** Bytes of the target's files that the source has under the same path with other content. */
  readonly changedBytes: number;
  /** Bytes of the target's files that the source has neither way. */
  readonly newBytes: number;
  /** Layers that both share, in uncompressed bytes. */
  readonly sharedLayerBytes: number;
  readonly predictedPatchSize: number;
  /** What a pull would move at a site that has the source. */
  readonly pullSize: number;
}

export interface Ranking {
  readonly target: Digest;
  /** Best first. */
  readonly candidates: readonly Candidate[];
}

/** Of the formula, too: rankings of another version are made anew. */
export const RANKING_VERSION = 1;

/** What remains of a changed file's compressed size: measured over the corpus, rebuilt and upgraded packages. */
const CHANGED_SHARE = 0.25;
/** A header with another mtime, in bytes of a patch. */
const BYTES_PER_PATH = 1.5;
/** Patch headers and recipe. */
const FIXED_BYTES = 4000;

/**
 * Compares a target with one possible source by their signatures. The prediction takes new content at the
 * target's own rate of compression, changed content at a share of that.
 */
export function compareImages(target: Signature, source: Signature): Candidate {
  const contents = new Set(source.files.map((file) => file.digest));
  const paths = new Map(source.files.map((file) => [file.path, file]));
  const sharedLayers = new Set(source.image.layers.map((layer) => layer.diffID));
  let identicalBytes = 0;
  let changedBytes = 0;
  let newBytes = 0;
  const counted = new Set<string>();
  for (const file of target.files) {
    if (file.kind !== 'file' || file.digest === undefined) continue;
    if (contents.has(file.digest) || counted.has(file.digest)) identicalBytes += file.size;
    else if (isFile(paths.get(file.path))) changedBytes += file.size;
    else newBytes += file.size;
    counted.add(file.digest);
  }
  const sharedLayerBytes = target.image.layers
    .filter((layer) => sharedLayers.has(layer.diffID))
    .reduce((sum, layer) => sum + layer.size, 0);
  const whole = pullSize(target.image);
  const compressed = whole / Math.max(streamSize(target.image), 1);
  const unshared = 1 - sharedLayerBytes / Math.max(streamSize(target.image), 1);
  const predicted =
    FIXED_BYTES +
    target.files.length * BYTES_PER_PATH * unshared +
    (newBytes + changedBytes * CHANGED_SHARE) * compressed;
  return {
    source: source.image.manifest,
    tlshDistance: target.tlsh && source.tlsh ? tlshDistance(target.tlsh, source.tlsh) : null,
    identicalBytes,
    changedBytes,
    newBytes,
    sharedLayerBytes,
    predictedPatchSize: Math.round(predicted),
    pullSize: pullSize(target.image, source.image),
  };
}

function isFile(file: FileRecord | undefined): boolean {
  return file?.kind === 'file';
}

/** Smallest predicted patch first; ties by TLSH distance, then by digest, so that every run agrees. */
export function rankCandidates(target: Digest, candidates: readonly Candidate[]): Ranking {
  const far = Number.MAX_SAFE_INTEGER;
  return {
    target,
    candidates: candidates
      .filter((candidate) => candidate.source !== target)
      .toSorted(
        (a, b) =>
          a.predictedPatchSize - b.predictedPatchSize ||
          (a.tlshDistance ?? far) - (b.tlshDistance ?? far) ||
          (a.source < b.source ? -1 : 1),
      ),
  };
}

/** Names a set of allowed sources: the rankings of one target differ by it. */
export function scopeOf(sources: readonly Digest[]): string {
  return digestOf(sources.toSorted().join('\n')).slice('sha256:'.length, 'sha256:'.length + 16);
}

export function serializeRanking(ranking: Ranking): Buffer {
  return Buffer.from(`${JSON.stringify({ version: RANKING_VERSION, ...ranking }, null, 2)}\n`);
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parseRanking(bytes: Uint8Array, where: string): Ranking {
  const record = asRecord(parseDocument(bytes, where), where);
  if (record['version'] !== RANKING_VERSION) {
    throw new PanamaxError('bad-input', 'unknown ranking version', {
      expected: RANKING_VERSION,
      found: JSON.stringify(record['version']),
      where,
    });
  }
  return {
    target: parseDigest(record['target'], `${where} target`),
    candidates: asArray(record['candidates'], `${where} candidates`).map((value, i) => {
      const at = `${where} candidates[${i}]`;
      const candidate = asRecord(value, at);
      const size = (key: string) => asSize(candidate[key], `${at} ${key}`);
      return {
        source: parseDigest(candidate['source'], at),
        tlshDistance: candidate['tlshDistance'] === null ? null : size('tlshDistance'),
        identicalBytes: size('identicalBytes'),
        changedBytes: size('changedBytes'),
        newBytes: size('newBytes'),
        sharedLayerBytes: size('sharedLayerBytes'),
        predictedPatchSize: size('predictedPatchSize'),
        pullSize: size('pullSize'),
      };
    }),
  };
}
