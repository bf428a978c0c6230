/** Descriptors of patches. */
import assert from 'node:assert/strict';
import { parsePatchDescriptor, serializePatchDescriptor } from '../../../lib/store/descriptor.ts';
import { SAMPLE_IMAGE, SAMPLE_SOURCE } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

export function open(): FuzzTarget {
  const whole = {
    format: 'xdelta',
    effort: 'default' as const,
    source: { ...SAMPLE_SOURCE, images: [SAMPLE_IMAGE.manifest, SAMPLE_IMAGE.config] },
    target: SAMPLE_IMAGE,
    patch: { size: 5, digest: SAMPLE_IMAGE.config },
    sizes: { predicted: 1, actual: 5, pull: 9 },
    signature: { key: '00', value: 'AA==' },
  };
  const { patch: _, signature: __, ...pull } = whole;
  return {
    seeds: [whole, pull].map(serializePatchDescriptor),
    kinds: ['bad-input'],
    run(input) {
      const parsed = parsePatchDescriptor(input, 'descriptor');
      assert.deepEqual(parsePatchDescriptor(serializePatchDescriptor(parsed), 'descriptor'), parsed);
    },
  };
}
