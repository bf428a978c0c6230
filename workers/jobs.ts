import * as v from 'valibot';
import { isRunId } from '../lib/run/request.ts';
import { namedImageSchema } from '../lib/run/schemas.ts';
import type { Stage } from '../lib/run/stage.ts';
import { objectSchema, parseWith, type Checked } from '../lib/schema.ts';

/**
 * Data of the jobs of the queues. It is checked strictly: anyone with access to Redis may have written it, and names of
 * runs and items become names of objects in the store.
 */

const run = v.pipe(v.string(), v.check(isRunId, 'a name of a run'));
/** As `items` makes them. */
const item = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, '32 hex digits'));
/** As `scopeOf` makes them. */
const scope = v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, '16 hex digits'));
const name = v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/, 'up to 64 letters, digits, dashes and underscores'));

const jobSchemas = {
  signature: objectSchema({ run, item, reference: v.string() }),
  pairing: objectSchema({
    run,
    item,
    target: namedImageSchema,
    scope,
    together: v.exactOptional(v.boolean()),
  }),
  /** `ranking`: the item of the ranking that chose the pair. */
  delta: objectSchema({ run, item, ranking: item }),
};

/** `name` tells the coordinators of a run apart. */
const runJobSchema = objectSchema({ run, name });

export type SignatureJob = Checked<typeof jobSchemas.signature>;
export type PairingJob = Checked<typeof jobSchemas.pairing>;
export type DeltaJob = Checked<typeof jobSchemas.delta>;
export type StageJob = { readonly [S in Stage]: Checked<(typeof jobSchemas)[S]> };
export type ItemJob = StageJob[Stage];
export type RunJob = Checked<typeof runJobSchema>;

/** @throws PanamaxError `bad-input` */
export function parseItemJob<S extends Stage>(stage: S, data: unknown, where: string): StageJob[S] {
  return parseWith(jobSchemas[stage], data, where) as StageJob[S];
}

/** @throws PanamaxError `bad-input` */
export function parseRunJob(data: unknown, where: string): RunJob {
  return parseWith(runJobSchema, data, where);
}
