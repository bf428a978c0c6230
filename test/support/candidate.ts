import type { Digest } from '../../lib/digest.ts';
import { formatNames } from '../../lib/delta/formats.ts';
import type { Candidate } from '../../lib/pairing/ranking.ts';

/** A candidate of a ranking whose sizes are all 0, but for those given. */
export function makeCandidate(source: Digest, sizes: Partial<Candidate> = {}): Candidate {
  const prediction = { size: 0, reasons: { fixed: 0, changed: 0, new: 0 }, seconds: 0 };
  return {
    source,
    tlshDistance: null,
    identicalBytes: 0,
    changedBytes: 0,
    newBytes: 0,
    sharedLayerBytes: 0,
    predictedPatchSize: 0,
    predictions: Object.fromEntries(formatNames().map((format) => [format, prediction])),
    pullSize: 0,
    ...sizes,
  };
}
