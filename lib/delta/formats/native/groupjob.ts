import { crc32 } from 'node:zlib';
import { PanamaxError } from '../../../errors.ts';
import type { Batch } from './batch.ts';
import { GroupWorker, type GroupPlace } from './group.ts';
import { pagedSpace, type OpenFiles, type Space, type SpaceParts } from './space.ts';
import type { StreamParts } from './streams.ts';

/** The work on one group, in a thread or without one. */

export interface GroupJob {
  /** Names the batch among those of its crew. */
  readonly id: number;
  /** With the first job of a batch in a thread. */
  readonly batch?: Batch;
  readonly source: SpaceParts;
  readonly place: GroupPlace;
  readonly work: EncodeWork | DecodeWork;
}

export interface EncodeWork {
  readonly kind: 'encode';
  /** Of the group in the target program. */
  readonly program: SpaceParts;
  /** Its bytes in the target. */
  readonly stored: SpaceParts;
}

export interface DecodeWork {
  readonly kind: 'decode';
  readonly parts: StreamParts;
  readonly operands: Uint8Array;
  readonly checksum: number;
}

export interface EncodedGroup {
  /** By the numbers of streams. */
  readonly parts: StreamParts;
  readonly operands: Uint8Array;
  readonly checksum: number;
}

export interface DecodedGroup {
  readonly bytes: Uint8Array;
}

/** Batches that are kept at once. */
const KEPT = 4;

/** Performs one job after the other. Jobs throw PanamaxError `bad-patch`. */
export function createGroupHandler(files: OpenFiles): (job: GroupJob) => EncodedGroup | DecodedGroup {
  const workers = new Map<number, GroupWorker>();
  let source: Space | undefined;

  return ({ id, batch, source: parts, place, work }) => {
    source ??= pagedSpace(files.space(parts));
    if (batch) workers.set(id, new GroupWorker(batch, source));
    for (const [old] of workers) if (workers.size > KEPT) workers.delete(old);
    const worker = workers.get(id)!;
    if (work.kind === 'encode') {
      const target = readAll(files.space(work.program));
      return { ...worker.encode(place, target), checksum: crc32(readAll(files.space(work.stored))) };
    }
    const bytes = worker.decode(place, work.parts, work.operands);
    const found = crc32(bytes);
    if (found !== work.checksum) {
      throw new PanamaxError(
        'bad-patch',
        'wrong checksum: a damaged patch, or one made from another source',
        {
          expected: work.checksum.toString(16),
          found: found.toString(16),
        },
      );
    }
    return { bytes };
  };
}

function readAll(space: Space): Uint8Array {
  const bytes = new Uint8Array(space.size);
  space.read(bytes, 0);
  return bytes;
}
