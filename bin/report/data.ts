import { PanamaxError } from '../../lib/errors.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import { compareVersions } from '../../lib/image/oci/version.ts';
import { listOutcomes, readOutcomes } from '../../lib/run/outcome.ts';
import { failuresOf, sumBytes, type PatchBytes, type RunReport } from '../../lib/run/report.ts';
import type { PassReason } from '../../lib/run/schemas.ts';
import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { findReport, findSummary, readParts } from '../../lib/run/summary.ts';
import type { Store } from '../../lib/store/objects/store.ts';

/** A patch of a run, or a pair that got none because a pull moves hardly more. Sizes in bytes. */
export interface PatchRow {
  readonly target: string;
  readonly source: string;
  readonly format: string;
  readonly predicted: number;
  /** Undefined for a pair that was not tried. */
  readonly actual: number | undefined;
  readonly pull: number;
  /** Of matching, encoding and verifying; undefined for a patch from before the run. */
  readonly seconds: number | undefined;
  readonly result: 'patch' | 'pull' | (typeof NOT_MADE)[PassReason];
  /** Parts of the target: the same in the source, similar to it, and new. */
  readonly identical: number;
  readonly changed: number;
  readonly fresh: number;
}

/** Reasons for which a pair gets no patch. */
export const NOT_MADE = {
  pull: 'not worth a patch',
  served: 'sites have a better source',
  far: 'far from the best source',
} as const satisfies Record<PassReason, string>;

export interface StageTime {
  readonly stage: Stage;
  /** From the end of the stage before to the end of this one. */
  readonly seconds: number;
  readonly items: number;
}

/** The contents of a report page. */
export interface PageData {
  readonly run: string;
  readonly store: string;
  readonly started: string;
  readonly finished: string;
  readonly images: number;
  readonly bytes: PatchBytes;
  readonly encodeSeconds: number;
  /** By image and release. */
  readonly rows: readonly PatchRow[];
  readonly stages: readonly StageTime[];
  readonly failures: readonly { readonly what: string; readonly kind: string; readonly message: string }[];
}

/** @throws PanamaxError `not-found` for a run that is not over */
export async function readPageData(store: Store, run: string): Promise<PageData> {
  const report = await findReport(store, run);
  if (!report) {
    throw new PanamaxError('not-found', 'no report yet: the run is not over, or not in this store', {
      found: run,
      where: store.where,
    });
  }
  const patches = report.pairs.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches));
  return {
    run: report.id,
    store: store.where,
    started: report.started,
    finished: report.finished,
    images: report.images.length,
    bytes: sumBytes(patches),
    encodeSeconds: patches.reduce((sum, { encodeSeconds = 0 }) => sum + encodeSeconds, 0),
    rows: rowsOf(report).sort(byRelease),
    stages: await stageTimes(store, report),
    failures: failuresOf(report).map(({ what, error }) => ({ what, ...error })),
  };
}

/** The patches of a run that is over, up to a number of them; reads only the parts of its report that are needed. */
export async function readPatchRows(store: Store, run: string, most: number): Promise<PatchRow[]> {
  const summary = await findSummary(store, run);
  const rows: PatchRow[] = [];
  if (!summary) return rows;
  for await (const part of readParts(store, summary)) {
    rows.push(...rowsOf(part));
    if (rows.length >= most) break;
  }
  return rows.slice(0, most).sort(byRelease);
}

function rowsOf({ pairs, passedOver }: Pick<RunReport, 'pairs' | 'passedOver'>): PatchRow[] {
  const made = pairs.flatMap((pair) => {
    if (pair.status === 'failed') return [];
    const { target, source, candidate } = pair;
    return pair.patches.map(({ descriptor: { format, sizes, patch }, encodeSeconds }): PatchRow => ({
      target,
      source,
      format,
      predicted: candidate.predictions[format]?.size ?? sizes.predicted,
      actual: sizes.actual,
      pull: sizes.pull,
      seconds: encodeSeconds,
      result: patch ? 'patch' : 'pull',
      ...partsOf(candidate),
    }));
  });
  const skipped = passedOver.map(({ target, source, candidate, reason = 'pull' }): PatchRow => ({
    target,
    source,
    format: '–',
    predicted: candidate.predictedPatchSize,
    actual: undefined,
    pull: candidate.pullSize,
    seconds: undefined,
    result: NOT_MADE[reason],
    ...partsOf(candidate),
  }));
  return [...made, ...skipped];
}

function partsOf(candidate: RunReport['passedOver'][number]['candidate']) {
  const { identicalBytes, changedBytes, newBytes } = candidate;
  return { identical: identicalBytes, changed: changedBytes, fresh: newBytes };
}

/** The repository or file of a reference, and its release. */
export function splitRelease(reference: string): { readonly image: string; readonly release: string } {
  let text = reference;
  try {
    const split = splitTransport(reference);
    if (split) text = split.name === undefined ? split.path : `${split.path}:${split.name}`;
  } catch {
    // not in the form of a reference: shown as it is
  }
  const [, image, release] = /^(.*?)(?:[:@-]((?:v|r|sha256:)?[\da-f][\w.+-]*))?$/.exec(text)!;
  return { image: image || text, release: release ?? '' };
}

function byRelease(a: PatchRow, b: PatchRow): number {
  const [x, y] = [splitRelease(a.target), splitRelease(b.target)];
  if (x.image !== y.image) return x.image < y.image ? -1 : 1;
  return compareVersions(x.release, y.release) || (a.actual ?? Infinity) - (b.actual ?? Infinity);
}

async function stageTimes(store: Store, { id, started }: RunReport): Promise<StageTime[]> {
  const times: StageTime[] = [];
  let before = Date.parse(started);
  for (const stage of STAGES) {
    const outcomes = await readOutcomes(store, id, stage, await listOutcomes(store, id, stage));
    const ends = [...outcomes.values()].map(({ finished }) => Date.parse(finished));
    const end = ends.reduce((latest, one) => Math.max(latest, one), before);
    times.push({ stage, seconds: (end - before) / 1000, items: ends.length });
    before = end;
  }
  return times;
}
