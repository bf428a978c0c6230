import { crc32 } from 'node:zlib';
import { PanamaxError } from '../../../errors.ts';
import type { Batch } from './batch.ts';
import { free } from '../../../runtime/memory.ts';
import { createWorkspace, GroupWorker, type GroupPlace, type Workspace } from './group.ts';
import { pagedSpace, type OpenFiles, type Space, type FileParts } from '../../../runtime/space.ts';
import { MixedModels } from './mixedsink.ts';
import type { StreamParts } from './streams.ts';

/** The work on one group, in a thread or without one. */

export interface GroupJob {
  /** With the first job of a batch in a thread. */
  readonly batch?: Batch;
  /** With the first job of a thread. */
  readonly source?: FileParts;
  readonly place: GroupPlace;
  readonly work: EncodeWork | DecodeWork;
}

export interface EncodeWork {
  readonly kind: 'encode';
  readonly isMixed: boolean;
  /** Of the group in the target program. */
  readonly program: FileParts;
  /** Its bytes in the target. */
  readonly stored: FileParts;
}

export interface DecodeWork {
  readonly kind: 'decode';
  readonly isMixed: boolean;
  /** In memory of their own, which the job takes over. */
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
  readonly operands: Uint8Array;
  readonly checksum: number | undefined;
}

export interface EncodedGroup {
  /** By the numbers of streams. */
  readonly parts: StreamParts;
  readonly operands: Uint8Array;
  /** CRC-32 of its bytes in the target, unless it has neither parts nor operands. */
  readonly checksum?: number;
}

export interface DecodedGroup {
  readonly bytes: Uint8Array;
}

/** Performs one job after the other. Jobs throw PanamaxError `bad-patch`. */
export function createGroupHandler(files: OpenFiles): (job: GroupJob) => EncodedGroup | DecodedGroup {
  const workspace = createWorkspace();
  let worker: GroupWorker | undefined;
  let source: Space | undefined;
  let models: MixedModels | undefined;

  return ({ batch, source: parts, place, work }) => {
    if (parts) source = pagedSpace(files.space(parts));
    // the groups of a batch come one after the other
    if (batch) worker = new GroupWorker(batch, source!, workspace);
    if (work.isMixed) models ??= new MixedModels();
    if (work.kind === 'encode') {
      const target = readAll(files.space(work.program), workspace);
      const encoded = worker!.encode(place, target, models);
      // a group without parts has no checksum (section.ts)
      if (isEmpty(encoded)) return encoded;
      return { ...encoded, checksum: crc32(readAll(files.space(work.stored), workspace)) };
    }
    const bytes = worker!.decode(place, work.parts, work.operands, models);
    for (const part of work.parts) free(part);
    const found = work.checksum === undefined ? undefined : crc32(bytes);
    if (found !== work.checksum) {
      throw new PanamaxError(
        'bad-patch',
        'wrong checksum: a damaged patch, or one made from another source',
        {
          expected: work.checksum!.toString(16),
          found: found!.toString(16),
        },
      );
    }
    return { bytes };
  };
}

function isEmpty({ parts, operands }: EncodedGroup): boolean {
  return operands.length === 0 && parts.every(({ length }) => length === 0);
}

function readAll(space: Space, workspace: Workspace): Uint8Array {
  if (workspace.program.length < space.size) workspace.program = new Uint8Array(space.size);
  const bytes = workspace.program.subarray(0, space.size);
  space.read(bytes, 0);
  return bytes;
}
