import * as v from 'valibot';
import { PanamaxError } from '../errors.ts';
import { objectSchema, parseWith, sizeSchema } from '../schema.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { getDocument, inRun, putDocument } from './document.ts';
import { readOutcomes, type OutcomeOf } from './outcome.ts';
import {
  items,
  joinRequest,
  parseRequest,
  parseRequestPage,
  splitRequest,
  type RunRequest,
} from './request.ts';
import { namedImageSchema, type Candidate, type NamedImage } from './schemas.ts';

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

/** A pair that a ranking chose; part of the ranking's outcome. */
export interface Pair {
  readonly target: NamedImage;
  /** Several images may be one source. */
  readonly sources: readonly NamedImage[];
  readonly candidate: Candidate;
}

/** Names the sources of a pair for people. */
export function nameSources({ sources }: Pick<Pair, 'sources'>): string {
  return sources.map(({ reference }) => reference).join(' + ');
}

/** Writes a request: its pages before the document that names them. */
export async function putRequest(store: Store, request: RunRequest): Promise<void> {
  const { head, pages } = splitRequest(request);
  for (const [number, page] of pages.entries())
    await putDocument(store, request.id, inRun.requestPage(number), page);
  await putDocument(store, request.id, inRun.request, head);
}

/** @throws PanamaxError `bad-input` */
export async function findRequest(store: Store, id: string): Promise<RunRequest | undefined> {
  const key = keys.run(id, inRun.request);
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  const { pages, ...head } = parseRequest(bytes, `${store.where} ${key}`);
  const read = [];
  for (let number = 0; number < pages; number++) {
    const pageKey = keys.run(id, inRun.requestPage(number));
    const where = `${store.where} ${pageKey}`;
    const page = await store.get(pageKey);
    if (!page) throw new PanamaxError('bad-input', 'a page of the request is missing', { where });
    read.push(parseRequestPage(page, where));
  }
  return joinRequest(head, read);
}

/** @throws PanamaxError `not-found`, `bad-input` */
export async function loadRequest(store: Store, id: string): Promise<RunRequest> {
  const request = await findRequest(store, id);
  if (request) return request;
  throw new PanamaxError('not-found', 'no such run', { found: id, where: store.where });
}

/** Images in one document of a set. */
const SCOPE_PAGE = 50_000;

const scopeSchema = objectSchema({
  images: v.array(namedImageSchema),
  /** Number of pages that `images` goes on in. */
  pages: v.exactOptional(sizeSchema),
});

/** Writes the images of a set that pairings name: the pages of a large one before the document that names them. */
export async function putScope(
  store: Store,
  run: string,
  scope: string,
  images: readonly NamedImage[],
): Promise<void> {
  const pages = images.length > SCOPE_PAGE ? Math.ceil(images.length / SCOPE_PAGE) : 0;
  for (let number = 0; number < pages; number++) {
    const page = images.slice(number * SCOPE_PAGE, (number + 1) * SCOPE_PAGE);
    await putDocument(store, run, inRun.scopePage(scope, number), { images: page });
  }
  await putDocument(store, run, inRun.scope(scope), pages > 0 ? { images: [], pages } : { images });
}

/** Checks a document of a set. @throws PanamaxError `bad-input` */
export function checkScope(bytes: Uint8Array, where: string): void {
  parseWith(scopeSchema, bytes, where);
}

/** The images of a set. @throws PanamaxError `not-found`, `bad-input` */
export async function loadScope(store: Store, run: string, scope: string): Promise<readonly NamedImage[]> {
  const document = await getDocument(store, run, inRun.scope(scope), scopeSchema);
  if (!document)
    throw new PanamaxError('not-found', 'no such set of sources', { found: scope, where: store.where });
  const { images: first, pages = 0 } = document;
  const images = [...first];
  for (let number = 0; number < pages; number++) {
    const name = inRun.scopePage(scope, number);
    const page = await getDocument(store, run, name, scopeSchema);
    const where = `${store.where} ${keys.run(run, name)}`;
    if (!page) throw new PanamaxError('bad-input', 'a page of the set is missing', { where });
    for (const image of page.images) images.push(image);
  }
  return images;
}

/** Rankings whose outcomes a process keeps: those of jobs under way, which are asked for more than once. */
const MOST_KEPT = 64;
const kept = new WeakMap<Store, Map<string, OutcomeOf<'pairing'>>>();

/**
 * A pair, from the outcome of the ranking that chose it.
 *
 * @param ranking the ranking's item
 * @throws PanamaxError `not-found`, `bad-input`
 */
export async function loadPair(store: Store, run: string, ranking: string, item: string): Promise<Pair> {
  let outcomes = kept.get(store);
  if (!outcomes) kept.set(store, (outcomes = new Map()));
  const name = `${run} ${ranking}`;
  const known = outcomes.get(name);
  const pair = (known && pairIn(known, item)) ?? (await findPair());
  if (pair) return pair;
  throw new PanamaxError('not-found', 'no such pair', { found: item, where: store.where });

  async function findPair(): Promise<Pair | undefined> {
    for (const status of ['done', 'skipped'] as const) {
      const outcome = (await readOutcomes(store, run, 'pairing', new Map([[ranking, status]]))).get(ranking);
      const found = outcome && pairIn(outcome, item);
      if (!found) continue;
      outcomes!.set(name, outcome);
      if (outcomes!.size > MOST_KEPT) outcomes!.delete(outcomes!.keys().next().value!);
      return found;
    }
    return undefined;
  }
}

function pairIn(outcome: OutcomeOf<'pairing'>, item: string): Pair | undefined {
  if (outcome.status === 'failed') return undefined;
  const found = outcome.pairs.find(
    ({ candidate }) => items.delta(outcome.target.manifest, candidate.source) === item,
  );
  return found && { target: outcome.target, ...found };
}
