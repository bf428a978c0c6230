import type { PatchDescriptor } from '../delta/descriptor.ts';
import type { ErrorKind } from '../errors.ts';
import type { Digest } from '../oci/descriptor.ts';
import type { Candidate } from '../pairing/ranking.ts';

/** The outcome of a run; stored as `runs/<id>/report.json` (docs/formats.md). */
export interface RunReport {
  readonly id: string;
  readonly started: string;
  readonly finished: string;
  readonly images: readonly ImageOutcome[];
  readonly pairs: readonly PairOutcome[];
}

export interface Failed {
  readonly status: 'failed';
  readonly error: { readonly kind: ErrorKind; readonly message: string };
}

export type ImageOutcome = { readonly reference: string } & (
  { readonly status: 'done' | 'skipped'; readonly manifest: Digest } | Failed
);

export type PairOutcome = {
  readonly target: string;
  readonly source: string;
  readonly candidate: Candidate;
} & (
  | {
      readonly status: 'done' | 'skipped';
      readonly patches: readonly { readonly descriptor: PatchDescriptor; readonly encodeSeconds?: number }[];
    }
  | Failed
);

export function failuresOf(report: RunReport): (Failed & { readonly what: string })[] {
  return [
    ...report.images.flatMap((image) =>
      image.status === 'failed' ? [{ ...image, what: image.reference }] : [],
    ),
    ...report.pairs.flatMap((pair) =>
      pair.status === 'failed' ? [{ ...pair, what: `${pair.target} from ${pair.source}` }] : [],
    ),
  ];
}
