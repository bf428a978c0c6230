import * as v from 'valibot';
import { digestSchema, objectSchema, recordSchema, parseWith, sizeSchema, type Checked } from '../schema.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { each, getDocument, inRun, putDocument } from './document.ts';
import {
  candidateSchema,
  failureSchema,
  namedImageSchema,
  passedEntries,
  patchOutcomeSchema,
} from './schemas.ts';
import type { Stage, Status } from './stage.ts';
import { removeSummary } from './summary.ts';

/**
 * Outcomes of items, `runs/<id>/outcomes/<stage>/<item>.<status>.json`: one small object per item, written when the item
 * is over and named by its status, so that a listing tells the state of all items.
 */

const succeeded = v.picklist(['done', 'skipped']);
const failed = { status: v.literal('failed'), error: failureSchema, finished: v.string() };

/** A source that a ranking chose or passed over; several images may be one source. */
const chosenEntries = { sources: v.array(namedImageSchema), candidate: candidateSchema };
const chosenSchema = objectSchema(chosenEntries);
const passedSchema = objectSchema({ ...chosenEntries, ...passedEntries });

const outcomeSchemas = {
  signature: v.pipe(
    recordSchema(),
    v.variant('status', [
      v.object({
        status: succeeded,
        reference: v.string(),
        manifest: digestSchema,
        /** Of the compressed layers. */
        size: v.exactOptional(sizeSchema),
        finished: v.string(),
      }),
      v.object({ ...failed, reference: v.string() }),
    ]),
  ),
  pairing: v.pipe(
    recordSchema(),
    v.variant('status', [
      v.object({
        status: succeeded,
        target: namedImageSchema,
        scope: v.string(),
        /** Missing in runs of earlier versions. */
        pairs: v.optional(v.array(chosenSchema), []),
        passedOver: v.array(passedSchema),
        finished: v.string(),
      }),
      v.object({ ...failed, target: namedImageSchema, scope: v.string() }),
    ]),
  ),
  delta: v.pipe(
    recordSchema(),
    v.variant('status', [
      v.object({ status: succeeded, patches: v.array(patchOutcomeSchema), finished: v.string() }),
      v.object({ ...failed, ranking: v.optional(v.string(), '') }),
    ]),
  ),
};

export type OutcomeOf<S extends Stage> = Checked<(typeof outcomeSchemas)[S]>;

/** Records how an item ended. A failed outcome of an earlier attempt is ignored from then on. */
export async function putOutcome(
  store: Store,
  run: string,
  stage: Stage,
  item: string,
  outcome: { readonly status: Status },
): Promise<void> {
  const document = { ...outcome, finished: new Date().toISOString() };
  await putDocument(store, run, inRun.outcome(stage, item, outcome.status), document);
}

/** `putOutcome` for many items. */
export async function putOutcomes(
  store: Store,
  run: string,
  stage: Stage,
  outcomes: ReadonlyMap<string, { readonly status: Status }>,
): Promise<void> {
  await each([...outcomes], ([item, outcome]) => putOutcome(store, run, stage, item, outcome));
}

/** The outcomes of a stage, by the names of their documents. An item may have a failure and a later success. */
export async function* walkOutcomes(
  store: Store,
  run: string,
  stage: Stage,
): AsyncGenerator<readonly [item: string, status: Status], void, void> {
  for await (const key of store.list(keys.run(run, inRun.outcomes(stage)))) {
    yield key.slice(key.lastIndexOf('/') + 1).split('.') as [string, Status];
  }
}

/** Statuses of the items of a stage that are over, by item. A success takes precedence over a failure. */
export async function listOutcomes(store: Store, run: string, stage: Stage): Promise<Map<string, Status>> {
  const found = new Map<string, Status>();
  for await (const [item, status] of walkOutcomes(store, run, stage)) {
    if (status !== 'failed' || !found.has(item)) found.set(item, status);
  }
  return found;
}

/** Status of one item; undefined as long as it is not over. */
export async function findOutcome(
  store: Store,
  run: string,
  stage: Stage,
  item: string,
): Promise<Status | undefined> {
  for (const status of ['done', 'skipped', 'failed'] as const) {
    if (await store.stat(keys.run(run, inRun.outcome(stage, item, status)))) return status;
  }
  return undefined;
}

/** Removes the outcomes of failed items, so that they are tried again. */
export async function forgetFailures(
  store: Store,
  run: string,
  stage: Stage,
  items: readonly string[],
): Promise<void> {
  await removeSummary(store, run);
  await each(items, (item) => store.remove(keys.run(run, inRun.outcome(stage, item, 'failed'))));
}

/** @throws PanamaxError `bad-input` */
export function parseOutcome<S extends Stage>(stage: S, bytes: Uint8Array, where: string): OutcomeOf<S> {
  return parseWith(outcomeSchemas[stage], bytes, where) as OutcomeOf<S>;
}

/**
 * Reads the outcomes of items that are over, in the order of `statuses`. Those removed since are left out.
 *
 * @throws PanamaxError `bad-input` for a damaged document
 */
export async function readOutcomes<S extends Stage>(
  store: Store,
  run: string,
  stage: S,
  statuses: ReadonlyMap<string, Status>,
): Promise<Map<string, OutcomeOf<S>>> {
  const read = new Map<string, OutcomeOf<S>>();
  await each([...statuses], async ([item, status]) => {
    const name = inRun.outcome(stage, item, status);
    const outcome = await getDocument(store, run, name, outcomeSchemas[stage]);
    if (outcome) read.set(item, outcome);
  });
  return new Map([...statuses.keys()].flatMap((item) => (read.has(item) ? [[item, read.get(item)!]] : [])));
}
