import type { Digest } from '../lib/digest.ts';
import { scopeOf } from '../lib/pairing/ranking.ts';
import { loadScope } from '../lib/run/record.ts';
import type { RunRequest } from '../lib/run/request.ts';
import type { NamedImage } from '../lib/run/schemas.ts';
import type { Store } from '../lib/store/objects/store.ts';

/** Sets of images of a run that are kept, and their images in all; the oldest is dropped first. */
const MOST_KEPT = 8;
const MOST_IMAGES = 500_000;

/** A set of images, read once for the rankings of a run that follow each other. */
export interface ImageSet {
  readonly images: readonly NamedImage[];
  /** Each image once. */
  readonly referenceOf: ReadonlyMap<Digest, string>;
  /** Name of the set: as it is, or with several images as one source. */
  nameOf(together: boolean): string;
}

const kept = new WeakMap<RunRequest, Map<string, ImageSet>>();

/** @throws as `loadScope` */
export async function imagesOfScope(request: RunRequest, scope: string, store: Store): Promise<ImageSet> {
  let scopes = kept.get(request);
  if (!scopes) kept.set(request, (scopes = new Map<string, ImageSet>()));
  const known = scopes.get(scope);
  if (known) return known;
  const set = imageSet(await loadScope(store, request.id, scope));
  scopes.set(scope, set);
  const total = () => scopes.values().reduce((sum, { images }) => sum + images.length, 0);
  while (scopes.size > MOST_KEPT || (scopes.size > 1 && total() > MOST_IMAGES))
    scopes.delete(scopes.keys().next().value!);
  return set;
}

function imageSet(images: readonly NamedImage[]): ImageSet {
  const names = new Map<boolean, string>();
  const referenceOf = new Map(images.map(({ manifest, reference }) => [manifest, reference]));
  return {
    images,
    referenceOf,
    nameOf(together) {
      const known = names.get(together);
      if (known !== undefined) return known;
      const name = scopeOf(
        images.map(({ manifest }) => manifest),
        together,
      );
      names.set(together, name);
      return name;
    },
  };
}
