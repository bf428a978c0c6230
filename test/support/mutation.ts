/** Damaged documents and files for property tests. */
import * as fc from 'fast-check';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that parsers often handle wrongly. */
export const WRONG: readonly Json[] = [
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

/** The document with one to three of its values replaced or removed. */
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

export function placesOf(document: Json | undefined): Place[] {
  if (typeof document !== 'object' || document === null) return [];
  return Object.entries(document).flatMap(([key, value]) => [{ parent: document, key }, ...placesOf(value)]);
}

const MAX_PIECE = 2000;

/** The bytes with one to three changes: flipped bits, other numbers, and removed, repeated or inserted pieces. */
export function damaged(bytes: Buffer): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom('bit', 'number', 'end', 'gone', 'twice', 'zeros'),
    at: fc.nat(),
    size: fc.nat(MAX_PIECE),
    number: fc.constantFrom(0, 0x7fffffff, 0x80000000, 0xffffffff),
  });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
    changes.reduce<Buffer>((before, { kind, at: anywhere, size, number }) => {
      const at = anywhere % (before.length + 1);
      const [head, tail] = [before.subarray(0, at), before.subarray(at)];
      if (kind === 'end') return head;
      if (kind === 'gone') return Buffer.concat([head, tail.subarray(size)]);
      if (kind === 'twice') return Buffer.concat([head, tail.subarray(0, size), tail]);
      if (kind === 'zeros') return Buffer.concat([head, Buffer.alloc(size), tail]);
      const changed = Buffer.from(before);
      if (kind === 'number' && tail.length >= 4) changed.writeUInt32LE(number, at);
      else if (tail.length > 0) changed[at]! ^= 1 << (size % 8);
      return changed;
    }, bytes),
  );
}
