import * as v from 'valibot';
import { digestSchema, objectSchema, recordSchema, sizeSchema, type Checked } from '../schema.ts';
import {
  candidateSchema,
  failureSchema,
  passedEntries,
  patchOutcomeSchema,
  type PatchOutcome,
} from './schemas.ts';

/** Number of items of a stage by status. */
const countsSchema = objectSchema({
  total: sizeSchema,
  done: sizeSchema,
  skipped: sizeSchema,
  failed: sizeSchema,
});
export type Counts = Checked<typeof countsSchema>;

/** Over pairs that are over: bytes that pulls would move, and bytes that the published patches move instead. */
const patchBytesSchema = objectSchema({
  pull: v.pipe(v.number(), v.integer()),
  patches: v.pipe(v.number(), v.integer()),
  saved: v.pipe(v.number(), v.integer()),
});
export type PatchBytes = Checked<typeof patchBytesSchema>;

export const summarySchema = objectSchema({
  id: v.string(),
  started: v.string(),
  finished: v.string(),
  stages: objectSchema({ signature: countsSchema, pairing: countsSchema, delta: countsSchema }),
  bytes: patchBytesSchema,
  /** One entry for each document in `runs/<id>/report/`. */
  parts: v.array(objectSchema({ failures: sizeSchema })),
});

/** The short outcome of a run; stored as `runs/<id>/report.json` (docs/formats.md). */
export type RunSummary = Checked<typeof summarySchema>;

const succeeded = v.picklist(['done', 'skipped']);
const failed = { status: v.literal('failed'), error: failureSchema };

export interface Failed {
  readonly status: 'failed';
  readonly error: Checked<typeof failureSchema>;
}

const imageOutcomeSchema = v.pipe(
  recordSchema(),
  v.variant('status', [
    v.object({ reference: v.string(), status: succeeded, manifest: digestSchema }),
    v.object({ reference: v.string(), ...failed }),
  ]),
);
export type ImageOutcome = Checked<typeof imageOutcomeSchema>;

const pair = { target: v.string(), source: v.string(), candidate: candidateSchema };
const pairOutcomeSchema = v.pipe(
  recordSchema(),
  v.variant('status', [
    v.object({ ...pair, status: succeeded, patches: v.array(patchOutcomeSchema) }),
    v.object({ ...pair, ...failed }),
  ]),
);
export type PairOutcome = Checked<typeof pairOutcomeSchema>;

const skippedCandidateSchema = objectSchema({ ...pair, ...passedEntries });
/** A pair that was not tried. */
export type SkippedCandidate = Checked<typeof skippedCandidateSchema>;

export const reportPartSchema = objectSchema({
  /** One for each image that was read, then those of targets whose ranking failed. */
  images: v.array(imageOutcomeSchema),
  pairs: v.array(pairOutcomeSchema),
  /** Pairs of the best sources that got no patch. */
  passedOver: v.array(skippedCandidateSchema),
});

/** Outcomes of some items of a run; stored as `runs/<id>/report/<number>.json`. */
export type ReportPart = Checked<typeof reportPartSchema>;

/** The whole outcome of a run. */
export interface RunReport extends ReportPart {
  readonly id: string;
  readonly started: string;
  readonly finished: string;
  readonly rankings: Counts;
}

export function countStatuses(list: Iterable<string | undefined>): Counts {
  const counts = { total: 0, done: 0, skipped: 0, failed: 0 };
  for (const status of list) {
    counts.total++;
    if (status === 'done' || status === 'skipped' || status === 'failed') counts[status]++;
  }
  return counts;
}

/** Number of items that are not over. */
export function leftOf({ total, done, skipped, failed }: Counts): number {
  return total - done - skipped - failed;
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

/** The failures of a report, each with a name of its item for people. */
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
