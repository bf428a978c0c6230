/** The checksum at the end of documents of the store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSeal, sealDocument } from '../lib/sealed.ts';

const DOCUMENT = { version: 1, level: 6, names: ['checksum', 'b'] };

test('a sealed document is JSON with its fields and a checksum', () => {
  for (const indent of [0, 2]) {
    const { checksum, ...fields } = JSON.parse(sealDocument(DOCUMENT, indent).toString()) as {
      checksum: string;
    };
    assert.deepEqual(fields, DOCUMENT);
    assert.match(checksum, /^[0-9a-f]{16}$/);
    checkSeal(sealDocument(DOCUMENT, indent), 'here');
    checkSeal(sealDocument({}, indent), 'here');
  }
});

test('every flipped bit of a sealed document that leaves valid JSON is refused', () => {
  for (const indent of [0, 2]) {
    const sound = sealDocument(DOCUMENT, indent);
    let valid = 0;
    for (let bit = 0; bit < 8 * sound.length; bit++) {
      const damaged = Buffer.from(sound);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      try {
        JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(damaged));
      } catch {
        continue;
      }
      valid++;
      assert.throws(
        () => checkSeal(damaged, 'here'),
        { kind: 'bad-input', message: /checksum/ },
        `bit ${bit}`,
      );
    }
    assert.ok(valid > 100);
  }
});

test('documents of earlier versions, without a checksum, are accepted', () => {
  for (const document of [DOCUMENT, {}, [], 7, { checksums: 'a' }, { other123: '0123456789abcdef' }]) {
    checkSeal(Buffer.from(JSON.stringify(document)), 'here');
    checkSeal(Buffer.from(`${JSON.stringify(document, null, 2)}\n`), 'here');
  }
  checkSeal(Buffer.alloc(0), 'here');
});
