import * as v from 'valibot';
import { EFFORTS } from '../delta/align/alignment.ts';
import type { FormatName } from '../delta/format.ts';
import { findFormat } from '../delta/formats.ts';
import { EXIT_CODES, type ErrorKind } from '../errors.ts';
import { digestSchema, objectSchema, recordSchema, sizeSchema, type Checked } from '../schema.ts';

/** Parts that several documents of a run share. */

export const formatSchema = v.custom<FormatName>(
  (name) => findFormat(name) !== undefined,
  'a patch format that is known',
);

export const effortSchema = v.picklist(EFFORTS);

/** An image by its digest, and the reference that it was read by. */
export const namedImageSchema = objectSchema({ manifest: digestSchema, reference: v.string() });
export type NamedImage = Checked<typeof namedImageSchema>;

const KINDS = Object.keys(EXIT_CODES) as ErrorKind[];

export const failureSchema = objectSchema({ kind: v.picklist(KINDS), message: v.string() });
export type Failure = Checked<typeof failureSchema>;

const predictionSchema = objectSchema({
  size: sizeSchema,
  reasons: objectSchema({ fixed: sizeSchema, changed: sizeSchema, new: sizeSchema }),
  seconds: v.pipe(v.number(), v.minValue(0)),
});

/** A `Candidate` of a ranking (lib/pairing/ranking.ts). */
export const candidateSchema = objectSchema({
  source: digestSchema,
  images: v.exactOptional(v.array(digestSchema)),
  tlshDistance: v.nullable(sizeSchema),
  identicalBytes: sizeSchema,
  changedBytes: sizeSchema,
  newBytes: sizeSchema,
  sharedLayerBytes: sizeSchema,
  predictedPatchSize: sizeSchema,
  predictions: v.pipe(recordSchema(), v.record(v.string(), predictionSchema)),
  pullSize: sizeSchema,
  newerBy: v.exactOptional(v.pipe(v.number(), v.safeInteger())),
});
export type Candidate = Checked<typeof candidateSchema>;

/**
 * The reason for which a source gets no patch: a pull moves hardly more (`pull`, also if it is missing), the sites have a
 * better source (`served`), or its patch is predicted to be several times that of the best source (`far`).
 */
const passReasonSchema = v.picklist(['pull', 'served', 'far']);
export type PassReason = Checked<typeof passReasonSchema>;

export const passedEntries = { reason: v.exactOptional(passReasonSchema) };
export interface Passed {
  readonly reason?: PassReason;
}

const imageEntries = {
  manifest: digestSchema,
  config: digestSchema,
  layers: digestSchema,
  size: sizeSchema,
};

/** A `PatchDescriptor` (lib/store/descriptor.ts) as it is repeated in outcomes, without a version. */
const descriptorSchema = objectSchema({
  format: formatSchema,
  effort: effortSchema,
  source: objectSchema({
    ...imageEntries,
    diffIDs: v.exactOptional(v.array(digestSchema)),
    images: v.exactOptional(v.array(digestSchema)),
  }),
  target: objectSchema(imageEntries),
  patch: v.exactOptional(objectSchema({ size: sizeSchema, digest: digestSchema })),
  sizes: objectSchema({ predicted: sizeSchema, actual: sizeSchema, pull: sizeSchema }),
  signature: v.exactOptional(objectSchema({ key: v.string(), value: v.string() })),
});

/** One patch of a pair. */
export const patchOutcomeSchema = objectSchema({
  descriptor: descriptorSchema,
  /** Seconds of matching, encoding and verifying; undefined if the patch existed before. */
  encodeSeconds: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
});
export type PatchOutcome = Checked<typeof patchOutcomeSchema>;
