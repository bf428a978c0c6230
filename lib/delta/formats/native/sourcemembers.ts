import { closeSync, openSync, writeSync } from 'node:fs';
import { PanamaxError } from '../../../errors.ts';
import type { Space } from '../../../runtime/space.ts';
import { BitDecoder, BitEncoder, type BitCoder } from './bitcoder.ts';
import { MAX_MEMBER } from './batch.ts';
import { AUX_CACHE, memberContent } from './member.ts';
import { NumberModels } from './numbers.ts';

/** Members of the source whose contents a patch refers to: they stand behind the layer stream in the source space. */

export interface SourceMember {
  /** DEFLATE or AUX_CACHE. */
  readonly form: number;
  /** In the layer stream, ascending. */
  readonly at: number;
  readonly stored: number;
  /** Of its content. */
  readonly size: number;
}

const MAX_MEMBERS = 2 ** 18;
/** Inflated bytes of the source at most: so many bytes, and so many times the size of the target. */
const MAX_INFLATED = 64 * 1024 ** 2;
const MAX_INFLATED_RATIO = 4;

export function encodeSourceMembers(members: readonly SourceMember[]): Uint8Array {
  if (members.length === 0) return new Uint8Array();
  const coder = new BitEncoder();
  code(coder, members);
  return coder.finish();
}

/** @throws PanamaxError `bad-patch` */
export function decodeSourceMembers(
  bytes: Uint8Array,
  streamSize: number,
  targetSize: number,
): SourceMember[] {
  if (bytes.length === 0) return [];
  const coder = new BitDecoder(bytes);
  const members = code(coder);
  coder.checkEnd();
  const last = members.at(-1);
  const total = members.reduce((sum, { size }) => sum + size, 0);
  if (last && last.at + last.stored > streamSize) throw refused('a member beyond the source', streamSize);
  const most = mostInflated(targetSize);
  if (total > most) throw refused('too much of the source is inflated', most);
  return members;
}

/** Bytes that members of the source may inflate to. */
export function mostInflated(targetSize: number): number {
  return MAX_INFLATED + MAX_INFLATED_RATIO * targetSize;
}

function code(coder: BitCoder, given?: readonly SourceMember[]): SourceMember[] {
  const models = new NumberModels(5);
  const count = models.code(coder, 0, given?.length ?? 0);
  if (count > MAX_MEMBERS) throw refused('too many members', MAX_MEMBERS);
  const members: SourceMember[] = [];
  let end = 0;
  for (let i = 0; i < count; i++) {
    const item = given?.[i];
    const at = end + models.code(coder, 1, item ? item.at - end : 0);
    const stored = models.code(coder, 2, item ? item.stored : 0);
    const size = models.code(coder, 3, item ? item.size : 0);
    const form = models.code(coder, 4, item ? item.form : 0);
    if (form > AUX_CACHE) throw refused('a member of an unknown form', AUX_CACHE);
    if (size > MAX_MEMBER || stored > 2 * MAX_MEMBER) throw refused('a member too large', MAX_MEMBER);
    end = at + stored;
    members.push({ form, at, stored, size });
  }
  return members;
}

/**
 * Writes the contents of members to a new file, one behind the other.
 *
 * @param source the layer stream
 * @throws PanamaxError `bad-patch` where a member differs from its description
 */
export function inflateMembers(source: Space, members: readonly SourceMember[], path: string): void {
  const to = openSync(path, 'wx');
  try {
    for (const { form, at, stored, size } of members) {
      const bytes = Buffer.alloc(stored);
      source.read(bytes, at);
      const content = memberContent(form, bytes, size);
      if (content?.length !== size) throw refused('a member that does not inflate', size);
      for (let done = 0; done < size;) done += writeSync(to, content, done);
    }
  } finally {
    closeSync(to);
  }
}

function refused(what: string, most: number): PanamaxError {
  return new PanamaxError('bad-patch', what, { expected: `at most ${most}` });
}
