/** Sections of a stored signature, behind the sizes of the first two: the checksum and the compression are made around them. */
import { join } from 'node:path';
import { compareProfiles } from '../../../lib/pairing/compare.ts';
import { compareSignatures } from '../../../lib/pairing/ranking.ts';
import { profileOf } from '../../../lib/pairing/signature/profile.ts';
import { parseProfile, parseSignature, viewProfile } from '../../../lib/pairing/signature/stored.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { runBackfill } from '../../support/backfill.ts';
import type { Scope } from '../../support/scope.ts';
import { sectionsOf, signatureWith } from '../../support/storedsignature.ts';
import { smallImages } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const WHERE = 'store';
const HEAD = 8;

function joined([document, profile, listing]: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32LE(document!.length, 0);
  head.writeUInt32LE(profile!.length, 4);
  return Buffer.concat([head, document!, profile!, listing!]);
}

function divided(input: Buffer): Buffer[] {
  if (input.length < HEAD) return [input, input, input];
  const first = HEAD + input.readUInt32LE(0);
  const second = first + input.readUInt32LE(4);
  return [input.subarray(HEAD, first), input.subarray(first, second), input.subarray(second)];
}

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { directory } = await smallImages(scope);
  await runBackfill(directory, ['source', 'target'], { top: 1 });
  const store = await openDirectoryStore(join(directory, 'store'));
  const stored: Buffer[] = [];
  for await (const key of store.list('signatures/')) stored.push((await store.get(key))!);
  const signature = await parseSignature(stored[0]!, WHERE);
  const sound = profileOf(signature);
  return {
    seeds: stored.map((bytes) => joined(sectionsOf(bytes))),
    kinds: ['bad-input'],
    async run(input) {
      const bytes = signatureWith(divided(input));
      const profile = viewProfile(parseProfile(bytes, WHERE));
      // a checked signature can be compared
      compareProfiles(profile, [sound, profile]);
      compareProfiles(sound, [profile]);
      return compareSignatures(await parseSignature(bytes, WHERE), signature);
    },
    head: () => HEAD,
  };
}
