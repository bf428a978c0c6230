/** Names of images, references, and records of names. */
import { parseReleaseName, formatReleaseName, releaseNameOf } from '../../../lib/image/oci/releasename.ts';
import { parseRegistryName } from '../../../lib/image/oci/registryname.ts';
import { splitTransport } from '../../../lib/image/oci/reference.ts';
import { nameDocument, parseName } from '../../../lib/store/name.ts';
import assert from 'node:assert/strict';
import { SAMPLE_IMAGE } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

export function open(): FuzzTarget {
  const name = 'registry.example:5000/team/app:1.2';
  const record = nameDocument({ name, platform: 'linux/arm/v7', target: SAMPLE_IMAGE, sequence: 7 });
  const texts = ['nginx', 'localhost/a_b/c.d:v1', name, `a/b:c@${SAMPLE_IMAGE.manifest}`];
  return {
    seeds: [record, ...texts.map((text) => Buffer.from(text))],
    kinds: ['usage', 'bad-input'],
    words: ['\n', '\0', '%00', ':', '@', '@sha256:', '/', '..', '//', 'docker-archive:', '\u00ff'],
    run(input) {
      if (input[0] === 0x7b) return parseName(input, 'record');
      const text = input.toString();
      releaseNameOf(text);
      splitTransport(text);
      const parsed = parseReleaseName(text);
      assert.deepEqual(parseReleaseName(formatReleaseName(parsed)), parsed);
      return parseRegistryName(text);
    },
  };
}
