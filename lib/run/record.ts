import * as v from 'valibot';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { objectSchema, parseWith, sizeSchema, type Checked } from '../schema.ts';
import { keys } from '../store/keys.ts';
import { MAX_DOCUMENT_SIZE, tooLarge, type Store } from '../store/objects/store.ts';
import { each, getDocument, inRun, putDocument } from './document.ts';
import { parseRequest, serializeRequest, type RunRequest } from './request.ts';
import { candidateSchema, namedImageSchema, type NamedImage } from './schemas.ts';

/**
 * The record of a run in the store, below `runs/<id>/` (docs/formats.md). It alone determines what is left to do, so
 * Redis may be wiped at any time.
 */

/** One ranking to make: a target, and the sources that are allowed. */
export interface Pairing {
  readonly target: NamedImage;
  /** Names the set of sources, and its document. */
  readonly scope: string;
  /** Several images of the set may be one source. */
  readonly together?: boolean;
}

const pairSchema = objectSchema({
  target: namedImageSchema,
  /** Several images may be one source. */
  sources: v.array(namedImageSchema),
  candidate: candidateSchema,
});

/** A pair that a ranking chose. */
export type Pair = Checked<typeof pairSchema>;

/** Names the sources of a pair for people. */
export function nameSources({ sources }: Pick<Pair, 'sources'>): string {
  return sources.map(({ reference }) => reference).join(' + ');
}

/** @throws PanamaxError `limit` for a document that would be too large to read */
export async function putRequest(store: Store, request: RunRequest): Promise<void> {
  const key = keys.run(request.id, inRun.request);
  const bytes = serializeRequest(request);
  if (bytes.length > MAX_DOCUMENT_SIZE) throw tooLarge(bytes.length, `${store.where} ${key}`);
  await store.put(key, bytes);
}

/** @throws PanamaxError `bad-input` */
export async function findRequest(store: Store, id: string): Promise<RunRequest | undefined> {
  const key = keys.run(id, inRun.request);
  const bytes = await store.get(key);
  return bytes && parseRequest(bytes, `${store.where} ${key}`);
}

/** @throws PanamaxError `not-found`, `bad-input` */
export async function loadRequest(store: Store, id: string): Promise<RunRequest> {
  const request = await findRequest(store, id);
  if (request) return request;
  throw new PanamaxError('not-found', 'no such run', { found: id, where: store.where });
}

const scopeSchema = objectSchema({ images: v.array(namedImageSchema) });

/** Writes the images of a set that pairings name. */
export async function putScope(
  store: Store,
  run: string,
  scope: string,
  images: readonly NamedImage[],
): Promise<void> {
  await putDocument(store, run, inRun.scope(scope), { images });
}

/** @throws PanamaxError `bad-input` */
export function parseScope(bytes: Uint8Array, where: string): readonly NamedImage[] {
  return parseWith(scopeSchema, bytes, where).images;
}

/** The images of a set. @throws PanamaxError `not-found`, `bad-input` */
export async function loadScope(store: Store, run: string, scope: string): Promise<readonly NamedImage[]> {
  const document = await getDocument(store, run, inRun.scope(scope), scopeSchema);
  if (document) return document.images;
  throw new PanamaxError('not-found', 'no such set of sources', { found: scope, where: store.where });
}

/** The rankings of a run that are known so far. */
export interface Pairings {
  readonly pairings: readonly Pairing[];
  /** All images have been read, so there will be no more rankings. */
  readonly isComplete: boolean;
}

const pairingsSchema = objectSchema({
  isComplete: v.boolean(),
  targets: v.array(namedImageSchema),
  sets: v.array(
    objectSchema({
      scope: v.string(),
      together: v.exactOptional(v.literal(true)),
      /** Indexes of the document's `targets`. */
      targets: v.array(sizeSchema),
    }),
  ),
});

/** The images of all sets must have been written before (`putScope`). */
export async function putPairings(
  store: Store,
  run: string,
  { pairings, isComplete }: Pairings,
): Promise<void> {
  const targets = new Map<Digest, number>();
  const named: NamedImage[] = [];
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
  const key = keys.run(run, inRun.pairings);
  const bytes = await store.get(key);
  return bytes && parsePairings(bytes, `${store.where} ${key}`);
}

/** @throws PanamaxError `bad-input` */
export function parsePairings(bytes: Uint8Array, where: string): Pairings {
  const { targets, sets, isComplete } = parseWith(pairingsSchema, bytes, where);
  const pairings = sets.flatMap(({ scope, together, targets: members }, set) =>
    members.map((member, i): Pairing => {
      const target = targets[member];
      if (target) return { target, scope, ...(together && { together }) };
      throw new PanamaxError('bad-input', 'no such target', {
        expected: `less than ${targets.length}`,
        found: member,
        where: `${where} sets[${set}].targets[${i}]`,
      });
    }),
  );
  return { pairings, isComplete };
}

export async function putPair(store: Store, run: string, item: string, pair: Pair): Promise<void> {
  await putDocument(store, run, inRun.pair(item), pair);
}

/** Items of all pairs that rankings have chosen so far. */
export async function listPairs(store: Store, run: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of store.list(keys.run(run, inRun.pairs))) {
    found.push(key.slice(key.lastIndexOf('/') + 1, -'.json'.length));
  }
  return found;
}

/** @throws PanamaxError `bad-input` */
export function parsePair(bytes: Uint8Array, where: string): Pair {
  return parseWith(pairSchema, bytes, where);
}

/** @throws PanamaxError `not-found`, `bad-input` */
export async function loadPair(store: Store, run: string, item: string): Promise<Pair> {
  const pair = await getDocument(store, run, inRun.pair(item), pairSchema);
  if (pair) return pair;
  throw new PanamaxError('not-found', 'no such pair', { found: item, where: store.where });
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
