import { loadScope } from '../lib/run/record.ts';
import type { RunRequest } from '../lib/run/request.ts';
import type { NamedImage } from '../lib/run/schemas.ts';
import type { Store } from '../lib/store/objects/store.ts';

/** Sets of images of a run that are kept; the oldest is dropped first. */
const MOST_KEPT = 8;

const kept = new WeakMap<RunRequest, Map<string, readonly NamedImage[]>>();

/** The images of a set, read once for the rankings of a run that follow each other. @throws as `loadScope` */
export async function imagesOfScope(
  request: RunRequest,
  scope: string,
  store: Store,
): Promise<readonly NamedImage[]> {
  let scopes = kept.get(request);
  if (!scopes) kept.set(request, (scopes = new Map<string, readonly NamedImage[]>()));
  const known = scopes.get(scope);
  if (known) return known;
  const images = await loadScope(store, request.id, scope);
  scopes.set(scope, images);
  if (scopes.size > MOST_KEPT) scopes.delete(scopes.keys().next().value!);
  return images;
}
