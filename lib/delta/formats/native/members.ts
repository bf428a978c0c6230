import { createHash } from 'node:crypto';
import { MAX_MEMBER, MAX_RATIO } from './batch.ts';
import type { StoredFile } from './contents.ts';
import { compressMember, isCodecOf, memberContent, MEMBER_CODECS } from './member.ts';
import { createMemberTar, type MemberTar } from './membertar.ts';
import { familyOf, listPacked, type Packed } from './packed.ts';
import { mostInflated } from './sourcemembers.ts';
import type { Space } from '../../../runtime/space.ts';

/** A compressed member of a layer stream and its content in a tar. */
export interface Inflated extends Packed {
  /** Of its content in the tar. */
  readonly start: number;
  readonly size: number;
  /** The codec that makes the member again; of members of the target only. */
  readonly codec: number;
}

/** Inflated bytes of either side at most. */
const MAX_INFLATED = 128 * 1024 ** 2;
/** Members of one place that no codec makes again, after which the others are not tried. */
const MAX_FAILURES = 3;
/** Bytes that are compressed in search of other codecs than the last: an image may hold many members of unknown encoders. */
const MAX_TRIED = 256 * 1024 ** 2;

/** Members that only the target has, and their likes of the source. */
export interface MemberPairs {
  readonly source: InflatedSide;
  readonly target: InflatedSide;
}

export interface InflatedSide extends MemberTar {
  readonly members: readonly Inflated[];
}

interface Side {
  readonly space: Space;
  readonly files: readonly StoredFile[];
  /** Of the tar of contents to write. */
  readonly tar: string;
}

/** Finds members of the target that the source does not have, and those of the source at the same paths. */
export function findMembers(source: Side, target: Side): MemberPairs {
  const candidates = listPacked(source.space, source.files);
  const known = new Set(candidates.map((packed) => digest(readPacked(source.space, packed))));
  const families = new Set<string>();
  const codecs = new CodecFinder();
  const to = inflateAll(target, listPacked(target.space, target.files), MAX_INFLATED, (packed, bytes) => {
    if (known.has(digest(bytes))) return undefined;
    return (content) => {
      const codec = codecs.find(packed, bytes, content);
      if (codec !== undefined) families.add(familyOf(packed.path));
      return codec;
    };
  });
  const most = Math.min(MAX_INFLATED, mostInflated(target.space.size));
  const from = inflateAll(source, candidates, most, ({ path }) =>
    families.has(familyOf(path)) ? () => 0 : undefined,
  );
  return { source: from, target: to };
}

/**
 * Writes contents to a tar.
 *
 * @param select returns undefined for members to leave out, else the function that finds the codec of a content
 */
function inflateAll(
  { space, tar }: Side,
  candidates: readonly Packed[],
  most: number,
  select: (packed: Packed, bytes: Buffer) => ((content: Buffer) => number | undefined) | undefined,
): InflatedSide {
  const writer = createMemberTar(tar);
  try {
    const members: Inflated[] = [];
    let total = 0;
    for (const packed of candidates) {
      const bytes = readPacked(space, packed);
      const codecOf = select(packed, bytes);
      if (!codecOf) continue;
      const body = bytes.subarray(0, packed.stored - packed.trailer);
      const content = memberContent(packed.form, body, MAX_MEMBER);
      // a reader bounds the inflated size of a target
      if (!content || content.length === 0 || content.length > MAX_RATIO * packed.stored) continue;
      if (total + content.length > most) continue;
      const codec = codecOf(content);
      if (codec === undefined) continue;
      total += content.length;
      members.push({ ...packed, start: writer.add(packed.path, content), size: content.length, codec });
    }
    return { ...writer.finish(), members };
  } finally {
    writer.close();
  }
}

function readPacked(space: Space, { at, stored }: Packed): Buffer {
  const bytes = Buffer.alloc(stored);
  space.read(bytes, at);
  return bytes;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}

/** Finds the codec that makes a member again: first the one that made the last member. */
class CodecFinder {
  readonly #lastOf = new Map<number, number>();
  readonly #failures = new Map<string, number>();
  #tried = 0;

  find({ form, trailer, place }: Packed, stored: Buffer, content: Buffer): number | undefined {
    const failures = this.#failures.get(place) ?? 0;
    if (place !== '' && failures >= MAX_FAILURES) return undefined;
    const all = [...MEMBER_CODECS.keys()].filter((codec) => isCodecOf(codec, form, trailer));
    const last = this.#lastOf.get(2 * trailer + form) ?? all[0]!;
    for (const codec of [last, ...all.filter((one) => one !== last)]) {
      if (codec !== last && (this.#tried += content.length) > MAX_TRIED) break;
      if (Buffer.compare(compressMember(content, codec), stored) !== 0) continue;
      this.#lastOf.set(2 * trailer + form, codec);
      return codec;
    }
    this.#failures.set(place, failures + 1);
    return undefined;
  }
}
