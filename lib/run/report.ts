import type { Digest } from '../digest.ts';
import type { PatchDescriptor } from '../store/descriptor.ts';
import type { ErrorKind } from '../errors.ts';
import type { Candidate } from '../pairing/ranking.ts';
import type { Stage } from './stage.ts';

/** The outcome of a run in short; stored as `runs/<id>/report.json` (docs/formats.md). */
export interface RunSummary {
  readonly id: string;
  readonly started: string;
  readonly finished: string;
  readonly stages: Readonly<Record<Stage, Counts>>;
  readonly bytes: PatchBytes;
  /** What is in `runs/<id>/report/`. */
  readonly parts: readonly { readonly failures: number }[];
}

/** Some of the items of a run; stored as `runs/<id>/report/<number>.json`. */
export interface ReportPart {
  /** One for each image that was read, then those whose ranking failed. */
  readonly images: readonly ImageOutcome[];
  readonly pairs: readonly PairOutcome[];
  /** Pairs of the best sources that got no patch. */
  readonly passedOver: readonly PassedOver[];
}

/** The outcome of a run, whole. */
export interface RunReport extends ReportPart {
  readonly id: string;
  readonly started: string;
  readonly finished: string;
  readonly rankings: Counts;
}

/** Over pairs that are over: what pulls would move, and what the patches on offer move instead. */
export interface PatchBytes {
  readonly pull: number;
  readonly patches: number;
  readonly saved: number;
}

/** How items of a stage went. */
export interface Counts {
  readonly total: number;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
}

export interface Failed {
  readonly status: 'failed';
  readonly error: { readonly kind: ErrorKind; readonly message: string };
}

export type ImageOutcome = { readonly reference: string } & (
  { readonly status: 'done' | 'skipped'; readonly manifest: Digest } | Failed
);

export interface PatchOutcome {
  readonly descriptor: PatchDescriptor;
  /** What matching, coding and verifying took; undefined where it was done before. */
  readonly encodeSeconds?: number;
}

export type PairOutcome = {
  readonly target: string;
  readonly source: string;
  readonly candidate: Candidate;
} & ({ readonly status: 'done' | 'skipped'; readonly patches: readonly PatchOutcome[] } | Failed);

/** A pair that was not tried: the prediction says that a pull moves hardly more, if at all. */
export interface PassedOver {
  readonly target: string;
  readonly source: string;
  readonly candidate: Candidate;
}

export function countStatuses(list: Iterable<string | undefined>): Counts {
  const counts = { total: 0, done: 0, skipped: 0, failed: 0 };
  for (const status of list) {
    counts.total++;
    if (status === 'done' || status === 'skipped' || status === 'failed') counts[status]++;
  }
  return counts;
}

export function addBytes(a: PatchBytes, b: PatchBytes): PatchBytes {
  return { pull: a.pull + b.pull, patches: a.patches + b.patches, saved: a.saved + b.saved };
}

export function sumBytes(patches: readonly PatchOutcome[]): PatchBytes {
  let pull = 0;
  let moved = 0;
  for (const { descriptor } of patches) {
    pull += descriptor.sizes.pull;
    moved += descriptor.patch?.size ?? descriptor.sizes.pull;
  }
  return { pull, patches: moved, saved: pull - moved };
}

export function failuresOf(
  report: Pick<ReportPart, 'images' | 'pairs'>,
): (Failed & { readonly what: string })[] {
  return [
    ...report.images.flatMap((image) =>
      image.status === 'failed' ? [{ ...image, what: image.reference }] : [],
    ),
    ...report.pairs.flatMap((pair) =>
      pair.status === 'failed' ? [{ ...pair, what: `${pair.target} from ${pair.source}` }] : [],
    ),
  ];
}
