import { parseDigest, type Digest } from '../digest.ts';
import { asArray, asRecord, asSize, asString } from '../json.ts';
import { PanamaxError } from '../errors.ts';
import type { Candidate } from '../pairing/ranking.ts';
import { keys } from '../store/keys.ts';
import { MAX_DOCUMENT_SIZE, tooLarge, type Store } from '../store/objects/store.ts';
import { each, getDocument, inRun, putDocument } from './document.ts';
import { parsePlan, serializePlan, type RunPlan } from './plan.ts';
import type { Stage, Status } from './stage.ts';
import { removeSummary } from './summary.ts';

/**
 * What the store knows of a run, below `runs/<id>/` (docs/formats.md). It alone says what is left to do: Redis may be
 * wiped at any time. One small object per item, written once the item is over and named so that listing tells the
 * state of all.
 */

export interface ImageName {
  readonly manifest: Digest;
  readonly reference: string;
}

/** One ranking to make: a target, and the sources that are allowed. */
export interface Pairing {
  readonly target: ImageName;
  /** Of the set of sources; names its document, too. */
  readonly scope: string;
  /** Whether several of them may be one source. */
  readonly together?: boolean;
}

/** A pair that a ranking chose. */
export interface Pair {
  readonly target: ImageName;
  /** Several images may be one source. */
  readonly sources: readonly ImageName[];
  readonly candidate: Candidate;
}

/** For people. */
export function nameSources({ sources }: Pick<Pair, 'sources'>): string {
  return sources.map(({ reference }) => reference).join(' + ');
}

/** @throws PanamaxError `limit` for one that nobody could read */
export async function putPlan(store: Store, plan: RunPlan): Promise<void> {
  const key = keys.run(plan.id, inRun.plan);
  const bytes = serializePlan(plan);
  if (bytes.length > MAX_DOCUMENT_SIZE) throw tooLarge(bytes.length, `${store.where} ${key}`);
  await store.put(key, bytes);
}

export async function findPlan(store: Store, id: string): Promise<RunPlan | undefined> {
  const key = keys.run(id, inRun.plan);
  const bytes = await store.get(key);
  return bytes && parsePlan(bytes, `${store.where} ${key}`);
}

/** @throws PanamaxError `not-found` */
export async function loadPlan(store: Store, id: string): Promise<RunPlan> {
  const plan = await findPlan(store, id);
  if (plan) return plan;
  throw new PanamaxError('not-found', 'no such run', { found: id, where: store.where });
}

/** Says how an item ended. What it says of an item that had failed before counts no more. */
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

/** As `putOutcome`, for many, by item. */
export async function putOutcomes(
  store: Store,
  run: string,
  stage: Stage,
  outcomes: ReadonlyMap<string, { readonly status: Status }>,
): Promise<void> {
  await each([...outcomes], ([item, outcome]) => putOutcome(store, run, stage, item, outcome));
}

/** How the items of a stage that are over ended, by item. Of two attempts the one that went well counts. */
export async function listOutcomes(store: Store, run: string, stage: Stage): Promise<Map<string, Status>> {
  const found = new Map<string, Status>();
  for await (const key of store.list(keys.run(run, inRun.outcomes(stage)))) {
    const [item, status] = key.slice(key.lastIndexOf('/') + 1).split('.') as [string, Status];
    if (status !== 'failed' || !found.has(item)) found.set(item, status);
  }
  return found;
}

/** As `listOutcomes`, of one item. Undefined for one that is not over. */
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

/** Lets failed items be tried again. */
export async function forgetFailures(
  store: Store,
  run: string,
  stage: Stage,
  failed: readonly string[],
): Promise<void> {
  await removeSummary(store, run);
  await each(failed, (item) => store.remove(keys.run(run, inRun.outcome(stage, item, 'failed'))));
}

/** Documents of items that are over, in the order of `outcomes`. */
export async function readOutcomes<Outcome>(
  store: Store,
  run: string,
  stage: Stage,
  outcomes: ReadonlyMap<string, Status>,
): Promise<Map<string, Outcome & { readonly status: Status; readonly finished: string }>> {
  type Read = Outcome & { readonly status: Status; readonly finished: string };
  const read = new Map<string, Read>();
  await each([...outcomes], async ([item, status]) => {
    const document = await getDocument(store, run, inRun.outcome(stage, item, status));
    if (document) read.set(item, document as Read);
  });
  return new Map([...outcomes.keys()].flatMap((item) => (read.has(item) ? [[item, read.get(item)!]] : [])));
}

/** The images of a set that pairings name. */
export async function putScope(
  store: Store,
  run: string,
  scope: string,
  images: readonly ImageName[],
): Promise<void> {
  await putDocument(store, run, inRun.scope(scope), { images });
}

/** The rankings of a run that are known. */
export interface Pairings {
  readonly pairings: readonly Pairing[];
  /** Whether there will be no more, since all images have been read. */
  readonly isComplete: boolean;
}

/** The images of the sets have to be there before (`putScope`). */
export async function putPairings(
  store: Store,
  run: string,
  { pairings, isComplete }: Pairings,
): Promise<void> {
  const targets = new Map<Digest, number>();
  const named: ImageName[] = [];
  const sets = new Map<string, { scope: string; together?: true; targets: number[] }>();
  for (const { target, scope, together } of pairings) {
    if (!targets.has(target.manifest)) {
      targets.set(target.manifest, named.length);
      named.push(target);
    }
    const set = sets.get(scope) ?? { scope, ...(together && { together }), targets: [] };
    sets.set(scope, set);
    set.targets.push(targets.get(target.manifest)!);
  }
  await putDocument(store, run, inRun.pairings, { isComplete, targets: named, sets: [...sets.values()] });
}

/** Undefined as long as no set of images has been read. @throws PanamaxError `bad-input` */
export async function findPairings(store: Store, run: string): Promise<Pairings | undefined> {
  const document = await getDocument(store, run, inRun.pairings);
  if (!document) return undefined;
  const where = `${store.where} ${keys.run(run, inRun.pairings)}`;
  const targets = asArray(document['targets'], where).map((image) => parseName(image, where));
  const pairings = asArray(document['sets'], where).flatMap((value) => {
    const { scope, together, targets: members } = asRecord(value, where);
    return asArray(members, where).map((member): Pairing => {
      const target = targets[asSize(member, where)];
      if (!target) throw new PanamaxError('bad-input', 'no such target', { found: Number(member), where });
      return { target, scope: asString(scope, where), ...(together === true && { together }) };
    });
  });
  return { pairings, isComplete: document['isComplete'] === true };
}

/** The images of a set. @throws PanamaxError `not-found` */
export async function loadScope(store: Store, run: string, scope: string): Promise<ImageName[]> {
  const document = await getDocument(store, run, inRun.scope(scope));
  if (document) return (document['images'] as unknown[]).map((image) => parseName(image, store.where));
  throw new PanamaxError('not-found', 'no such set of sources', { found: scope, where: store.where });
}

export async function putPair(store: Store, run: string, item: string, pair: Pair): Promise<void> {
  await putDocument(store, run, inRun.pair(item), pair);
}

export async function listPairs(store: Store, run: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of store.list(keys.run(run, inRun.pairs))) {
    found.push(key.slice(key.lastIndexOf('/') + 1, -'.json'.length));
  }
  return found;
}

/** @throws PanamaxError `not-found` */
export async function loadPair(store: Store, run: string, item: string): Promise<Pair> {
  const document = await getDocument(store, run, inRun.pair(item));
  if (!document) throw new PanamaxError('not-found', 'no such pair', { found: item, where: store.where });
  return {
    target: parseName(document['target'], store.where),
    sources: asArray(document['sources'], store.where).map((image) => parseName(image, store.where)),
    candidate: document['candidate'] as Candidate,
  };
}

export async function loadPairs(
  store: Store,
  run: string,
  pairs: readonly string[],
): Promise<Map<string, Pair>> {
  const read = new Map<string, Pair>();
  await each(pairs, async (item) => void read.set(item, await loadPair(store, run, item)));
  return new Map(pairs.map((item) => [item, read.get(item)!]));
}

function parseName(value: unknown, where: string): ImageName {
  const { manifest, reference } = asRecord(value, where);
  return { manifest: parseDigest(manifest, where), reference: asString(reference, where) };
}
