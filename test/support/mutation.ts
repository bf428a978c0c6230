/** Documents with something wrong in them, for property tests. */
import * as fc from 'fast-check';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that parsers get wrong. */
const WRONG: readonly Json[] = [
  null,
  true,
  -1,
  0.5,
  2 ** 53,
  1e300,
  '',
  '\u0000\u001b[2J\ud800',
  'sha256:',
  `sha256:${'0'.repeat(64)}`,
  [],
  {},
  [null],
  { length: 1 },
];

/** The document with one to three of its values replaced, or taken away. */
export function mutated(document: unknown): fc.Arbitrary<Json | undefined> {
  const value = fc.oneof(
    fc.constantFrom(...WRONG),
    fc.constant(undefined),
    fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
  );
  const change = fc.tuple(fc.nat(), value);
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce<Json | undefined>(replaceAt, structuredClone(document) as Json));
}

function replaceAt(document: Json | undefined, [pick, value]: readonly [number, Json | undefined]) {
  const places = placesOf(document);
  const place = places[pick % (places.length + 1)];
  const fresh = structuredClone(value);
  if (!place) return fresh;
  Object.assign(place.parent, { [place.key]: fresh });
  return document;
}

interface Place {
  readonly parent: Json[] | { [key: string]: Json };
  readonly key: string;
}

function placesOf(document: Json | undefined): Place[] {
  if (typeof document !== 'object' || document === null) return [];
  return Object.entries(document).flatMap(([key, value]) => [{ parent: document, key }, ...placesOf(value)]);
}
