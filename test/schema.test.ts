import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { PanamaxError } from '../lib/errors.ts';
import { digestSchema, objectSchema, parseWith, sizeSchema } from '../lib/schema.ts';

const Pair = objectSchema({
  target: digestSchema,
  size: sizeSchema,
  status: v.picklist(['done', 'failed']),
  force: v.exactOptional(v.literal(true)),
});
const Document = objectSchema({ version: v.literal(1), pairs: v.array(Pair), name: v.string() });

const PAIR = { target: `sha256:${'a'.repeat(64)}`, size: 5, status: 'done' };
const DOCUMENT = { version: 1, pairs: [PAIR], name: 'n' };

function refusal(document: unknown): { expected: unknown; found: unknown; where: unknown } {
  try {
    parseWith(Document, document, 'a.json');
  } catch (error) {
    assert.ok(error instanceof PanamaxError);
    assert.equal(error.kind, 'bad-input');
    const { expected, found, where } = error.facts;
    return { expected, found, where };
  }
  throw new Error('was accepted');
}

describe('checking a document by its schema', () => {
  test('returns a document that fits, without unknown fields', () => {
    const bytes = Buffer.from(JSON.stringify({ ...DOCUMENT, later: true }));
    assert.deepEqual(parseWith(Document, bytes, 'a.json'), DOCUMENT);
    assert.deepEqual(parseWith(Document, DOCUMENT, 'a.json'), DOCUMENT);
  });

  test('names what it expected, what it found, and the path of the value', () => {
    const withPair = (change: object) => ({ ...DOCUMENT, pairs: [PAIR, { ...PAIR, ...change }] });
    const digest = 'sha256: and 64 hex digits';
    const cases: [document: unknown, expected: string, found: string, where: string][] = [
      [{}, 'a value', 'nothing', 'a.json version'],
      [null, 'an object', 'null', 'a.json'],
      [[], 'an object', 'an array', 'a.json'],
      ['text', 'an object', '"text"', 'a.json'],
      [{ ...DOCUMENT, version: 2 }, '1', '2', 'a.json version'],
      [{ ...DOCUMENT, pairs: {} }, 'an array', 'an object', 'a.json pairs'],
      [{ ...DOCUMENT, pairs: [[]] }, 'an object', 'an array', 'a.json pairs[0]'],
      [{ ...DOCUMENT, name: null }, 'a string', 'null', 'a.json name'],
      [withPair({ target: 'sha256:0' }), digest, '"sha256:0"', 'a.json pairs[1].target'],
      [withPair({ size: -1 }), 'a whole number from 0', '-1', 'a.json pairs[1].size'],
      [withPair({ size: 1.5 }), 'a whole number from 0', '1.5', 'a.json pairs[1].size'],
      [withPair({ status: 'lost' }), '("done" | "failed")', '"lost"', 'a.json pairs[1].status'],
      [withPair({ force: false }), 'true', 'false', 'a.json pairs[1].force'],
    ];
    for (const [document, expected, found, where] of cases) {
      assert.deepEqual(refusal(document), { expected, found, where });
    }
  });

  test('refuses bytes that are no JSON, are cut short, or are not UTF-8', () => {
    for (const bytes of [Buffer.from('{'), Buffer.from(''), Buffer.from([0x22, 0xff, 0x22])]) {
      assert.equal(refusal(bytes).where, 'a.json');
    }
  });

  test('refuses a value nested too deeply to be written out', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const refused = refusal(Buffer.from(`{"version":1,"pairs":[],"name":${deep}}`));
    assert.deepEqual(refused, { expected: 'a string', found: 'an array', where: 'a.json name' });
  });
});
