import * as v from 'valibot';
import { isDigest, type Digest } from './digest.ts';
import { PanamaxError } from './errors.ts';
import { parseDocument } from './json.ts';
import { checkSeal } from './sealed.ts';

/**
 * Checks of JSON documents by valibot schemas. A document's type and its check come from one schema:
 *
 *     const Heartbeat = objectSchema({ version: v.literal(1), size: sizeSchema });
 *     type Heartbeat = Checked<typeof Heartbeat>;
 *     const heartbeat = parseWith(Heartbeat, bytes, key);
 *
 * Unknown fields are dropped, so that a later version may add some; `v.looseObject` keeps them. Fields of the result
 * are in the order of the schema: list them in the order in which the document is written.
 */

/** The type that a schema gives out, with all fields and arrays read-only. */
export type Checked<Schema extends v.GenericSchema> = Immutable<v.InferOutput<Schema>>;

export type Immutable<Value> = Value extends string | number | boolean | null | undefined
  ? Value
  : Value extends readonly unknown[]
    ? { readonly [Index in keyof Value]: Immutable<Value[Index]> }
    : { readonly [Key in keyof Value]: Immutable<Value[Key]> };

export const digestSchema = v.custom<Digest>(isDigest, 'sha256: and 64 hex digits');

/** A whole number of bytes or things, from 0 to 2^53 - 1. */
export const sizeSchema = v.custom<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  'a whole number from 0',
);

/** An object of any fields. */
export function recordSchema(expected = 'an object') {
  return v.custom<Readonly<Record<string, unknown>>>(isRecord, expected);
}

/** As `v.object`, but refuses arrays, too. */
export function objectSchema<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(recordSchema(), v.object(entries));
}

/**
 * Checks a document, or the bytes of a JSON document.
 *
 * @param where names the document; the path of the value that is refused is appended (`run.json pairs[3].size`)
 * @throws PanamaxError `bad-input`, with the value that was expected and the one that was found
 */
export function parseWith<Schema extends v.GenericSchema>(
  schema: Schema,
  document: unknown,
  where: string,
): Checked<Schema> {
  if (document instanceof Uint8Array) checkSeal(document, where);
  const value = document instanceof Uint8Array ? parseDocument(document, where) : document;
  const result = v.safeParse(schema, value, { abortEarly: true, message: expectation });
  if (result.success) return result.output as Checked<Schema>;
  const [issue] = result.issues;
  const path = pathOf(issue);
  throw new PanamaxError('bad-input', 'unexpected value', {
    expected: issue.message,
    found: describeFound(issue.input),
    where: path === '' ? where : `${where} ${path}`,
  });
}

/** JSON path of the value that an issue is about, such as `pairs[3].size`; empty for the document itself. */
function pathOf({ path }: v.BaseIssue<unknown>): string {
  let text = '';
  for (const { key } of path ?? []) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}

const EXPECTATIONS: Readonly<Record<string, string>> = {
  Object: 'an object',
  Array: 'an array',
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
};

function expectation({ expected, path }: v.BaseIssue<unknown>): string {
  if (expected === null) return 'another value';
  // An object that lacks a field expects the field's name.
  if (path?.at(-1)?.origin === 'key') return 'a value';
  return EXPECTATIONS[expected] ?? expected;
}

/** Objects and arrays are not written out: they may be large, or nested too deeply for `JSON.stringify`. */
function describeFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return JSON.stringify(value);
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
