/** Patches of the format `panamax` between layer streams. */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { EFFORTS } from '../../../lib/delta/align/alignment.ts';
import { ARM64, buildElf } from '../../support/elf.ts';
import { gzipMember } from '../../support/gzipmember.ts';
import { nativePair } from '../../support/nativepatch.ts';
import { createRandom } from '../../support/random.ts';
import type { Scope } from '../../support/scope.ts';
import { writeTar } from '../../support/tar.ts';
import type { FuzzTarget } from '../target.ts';

export async function open(scope: Scope): Promise<FuzzTarget> {
  const pair = await nativePair(scope, [layer(1)], [layer(2)]);
  return {
    seeds: await Promise.all(EFFORTS.map((effort) => pair.encode({ effort }))),
    kinds: ['bad-patch', 'limit'],
    isInner: true,
    repair: repaired,
    async run(input) {
      const built = await pair.decode(input);
      assert.ok(built.length <= pair.target.length);
    },
  };
}

/** Makes the checksums of the header and of the first description right. */
function repaired(patch: Buffer): Buffer {
  let at = 6;
  const size = (): number => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = patch[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    return value;
  };
  const check = (from: number, to: number) => {
    if (to + 4 <= patch.length) patch.writeUInt32LE(crc32(patch.subarray(from, to)), to);
    at = to + 4;
  };
  at += size();
  at += size();
  check(0, at);
  const end = size() - 5 + at;
  if (end >= at) check(at, end);
  return patch;
}

function layer(release: number): Buffer {
  const text = createRandom(9).text(1500);
  return writeTar([
    { path: 'bin/x', content: buildElf({ seed: 1, functions: 20, inserted: 8 * release }), mtime: release },
    { path: 'bin/y', content: buildElf({ seed: 2, functions: 20, inserted: 8 * release, machine: ARM64 }) },
    { path: 'doc/news.gz', content: gzipMember(`${release}\n${text}`, 9), mtime: release },
    { path: 'etc/new', content: createRandom(release).text(500), mtime: release },
  ]);
}
