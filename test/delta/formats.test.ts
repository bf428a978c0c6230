/** Every format of the list keeps the contract of `lib/delta/format.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_FORMAT, findFormat, formatNamed, patchFormats } from '../../lib/delta/formats.ts';
import { testFormat } from '../support/formatcontract.ts';

for (const format of patchFormats()) testFormat(format);

test('the list finds formats by their names and contains the default', () => {
  for (const format of patchFormats()) assert.equal(formatNamed(format.name), format);
  assert.ok(patchFormats().includes(DEFAULT_FORMAT));
  assert.equal(findFormat('bsdiff'), undefined);
  assert.throws(() => formatNamed('bsdiff'), { kind: 'internal' });
});

test('names and suffixes of formats differ', () => {
  const formats = patchFormats();
  assert.equal(new Set(formats.map(({ name }) => name)).size, formats.length);
  assert.equal(new Set(formats.map(({ suffix }) => suffix)).size, formats.length);
});
