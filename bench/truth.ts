/** What patches really weigh: pairs of the corpus encoded, results kept by content so that a run can go on later. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Effort } from '../lib/delta/alignment.ts';
import { matchStreams } from '../lib/delta/match.ts';
import { createPatch } from '../lib/delta/patch.ts';
import { serializeRecipe, sourceRecord } from '../lib/delta/recipe.ts';
import { encodeVcdiff } from '../lib/delta/vcdiff/encode.ts';
import { fileAccess } from '../lib/delta/vcdiff/randomaccess.ts';
import { replaceFile } from '../lib/file.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import type { ImageRecord } from '../lib/oci/record.ts';
import type { PatchFormat } from '../lib/store/layout.ts';
import type { CorpusImage, ImagePair } from './corpus.ts';

/** The size of one real patch, and what it took. */
export interface TrueSize {
  readonly format: PatchFormat;
  readonly effort: Effort;
  readonly bytes: number;
  /** Processor time of matching and coding, without the verification of the patch. */
  readonly cpuSeconds: number;
}

export interface Question {
  readonly source: Pick<ImageRecord, 'layers'>;
  readonly target: Pick<ImageRecord, 'layers'>;
  readonly format: PatchFormat;
  readonly effort: Effort;
}

/** A directory of answers, named by the diffIDs of both images, the format and the effort. */
export interface Truth {
  find(question: Question): Promise<TrueSize | undefined>;
  /** Encodes a pair unless that has been done. */
  encode(images: ImagePair, format: PatchFormat, effort: Effort): Promise<TrueSize>;
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
    async encode(images, format, effort) {
      const question = { source: images.source.record, target: images.target.record, format, effort };
      const known = await find(question);
      if (known) return known;
      const started = process.cpuUsage();
      const bytes = await (format === 'xdelta'
        ? encodeXdelta(images, effort)
        : encodeOciDelta(images, effort, scratch));
      const { user, system } = process.cpuUsage(started);
      const found: TrueSize = { format, effort, bytes, cpuSeconds: (user + system) / 1e6 };
      await replaceFile(pathOf(question), (part) => writeFile(part, JSON.stringify(found)));
      return found;
    },
  };
}

/** As `createXdelta` makes it, but counted only: the tests and the delta benchmark verify patches. */
async function encodeXdelta({ source, target }: ImagePair, effort: Effort): Promise<number> {
  const recipe = { source: sourceRecord(source.record), target: target.record };
  const alignments = await matchStreams(source.stream, target.stream, { effort });
  await using sourceFile = await open(source.stream.path);
  await using targetFile = await open(target.stream.path);
  let bytes = 0;
  for await (const piece of encodeVcdiff({
    source: await fileAccess(sourceFile),
    target: await fileAccess(targetFile),
    alignments,
    appHeader: Buffer.from(serializeRecipe(recipe)),
    effort,
  })) {
    bytes += piece.length;
  }
  return bytes;
}

async function encodeOciDelta(
  { source, target }: ImagePair,
  effort: Effort,
  scratch: string,
): Promise<number> {
  const work = join(scratch, 'oci-delta');
  await mkdir(work);
  try {
    const path = join(work, 'patch');
    const images = { source: source satisfies CorpusImage, target };
    return (
      await createPatch({
        ...images,
        path,
        scratch: work,
        format: 'oci-delta',
        effort,
        limits: DEFAULT_LIMITS,
      })
    ).size;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
