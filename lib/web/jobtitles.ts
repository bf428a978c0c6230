import * as v from 'valibot';
import { findOutcome, readOutcomes } from '../run/outcome.ts';
import { loadPair, nameSources } from '../run/record.ts';
import { sumBytes } from '../run/report.ts';
import { isRunId } from '../run/request.ts';
import type { Store } from '../store/objects/store.ts';

const itemSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));

/** Fields of job data that titles use. Anyone with access to Redis may have written them. */
const jobSchema = v.object({
  run: v.pipe(v.string(), v.check(isRunId)),
  item: v.optional(itemSchema),
  ranking: v.optional(itemSchema),
  reference: v.optional(v.string()),
  target: v.optional(v.object({ reference: v.string() })),
});

/** A title for the data of a job: its run, its images, and the bytes that its patches save. */
export type TitleOf = (data: unknown) => Promise<string | undefined>;

/** @returns titles; undefined for data that no worker would take */
export function createJobTitles(store: Store): TitleOf {
  return async (data) => {
    const job = v.safeParse(jobSchema, data);
    if (!job.success) return undefined;
    const { run, item, ranking, reference, target } = job.output;
    const images =
      reference ?? target?.reference ?? (item && ranking && (await titleOfPair(store, run, ranking, item)));
    return images === undefined ? run : `${images} (${run})`;
  };
}

async function titleOfPair(store: Store, run: string, ranking: string, item: string): Promise<string> {
  const pair = await loadPair(store, run, ranking, item);
  const title = `${pair.target.reference} from ${nameSources(pair)}`;
  const status = await findOutcome(store, run, 'delta', item);
  if (status === undefined) return title;
  const outcome = (await readOutcomes(store, run, 'delta', new Map([[item, status]]))).get(item);
  if (!outcome || outcome.status === 'failed') return title;
  return `${title}: ${(sumBytes(outcome.patches).saved / 1e6).toFixed(1)} MB saved`;
}
