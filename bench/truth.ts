import type { FormatName } from '../lib/delta/format.ts';

/** Actual sizes of patches. Encodes pairs of the corpus and keeps the results, so that a later run can continue. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Effort } from '../lib/delta/align/alignment.ts';
import { createPatch } from '../lib/delta/create.ts';
import { replaceFile } from '../lib/runtime/file.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import type { ImageRecord } from '../lib/image/record.ts';
import type { ImagePair } from './corpus.ts';

/** Size and cost of an actual patch that rebuilt the target. */
export interface TrueSize {
  readonly format: FormatName;
  readonly effort: Effort;
  readonly bytes: number;
  /** Processor time of matching, coding and applying. */
  readonly cpuSeconds: number;
}

export interface Question {
  readonly source: Pick<ImageRecord, 'layers'>;
  readonly target: Pick<ImageRecord, 'layers'>;
  readonly format: FormatName;
  readonly effort: Effort;
}

/** A directory of results, named by the diffIDs of both images, the format and the effort. */
export interface Truth {
  find(question: Question): Promise<TrueSize | undefined>;
  /** Makes and applies the patch of a pair, unless its result is known. @throws PanamaxError as `createPatch` */
  encode(images: ImagePair, format: FormatName, effort: Effort): Promise<TrueSize>;
}

export async function openTruth(directory: string, scratch: string): Promise<Truth> {
  await mkdir(directory, { recursive: true });
  const pathOf = ({ source, target, format, effort }: Question) => {
    const diffIDs = [source, target].map(({ layers }) => layers.map(({ diffID }) => diffID));
    const name = createHash('sha256')
      .update(JSON.stringify([diffIDs, format, effort]))
      .digest('hex');
    return join(directory, `${name}.json`);
  };
  const find = async (question: Question): Promise<TrueSize | undefined> => {
    const text = await readFile(pathOf(question), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as TrueSize);
  };
  return {
    find,
    async encode({ source, target }, format, effort) {
      const question = { source: source.record, target: target.record, format, effort };
      const known = await find(question);
      if (known) return known;
      const work = await mkdtemp(join(scratch, 'patch-'));
      try {
        const started = process.cpuUsage();
        const task = { source, target, effort, path: join(work, 'patch'), scratch: work };
        const { size } = await createPatch(format, { ...task, limits: DEFAULT_LIMITS });
        const { user, system } = process.cpuUsage(started);
        const found: TrueSize = { format, effort, bytes: size, cpuSeconds: (user + system) / 1e6 };
        await replaceFile(pathOf(question), (part) => writeFile(part, JSON.stringify(found)));
        return found;
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
  };
}
