import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toPanamaxError } from '../lib/errors.ts';
import { pullSize, streamSize } from '../lib/image/record.ts';
import { verifyStream } from '../lib/image/write/rebuilt.ts';
import type { Contestant } from './contestant.ts';
import { warmCache, type CorpusImage, type ImagePair, type Pair } from './corpus.ts';
import { findProgram } from '../test/support/programs.ts';
import type { CommandLine, Measure, Usage } from './measure.ts';
import { contenderName, pairName, type Done, type Entry, type PairResult } from './results.ts';

export interface Contest {
  readonly contestants: readonly Contestant[];
  readonly measure: Measure;
  /** Directory for patches and rebuilt layer streams. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  /** Receives a line per result. */
  report(line: string): void;
}

/** Makes and applies the patch of each contestant for one pair, one contestant after the other. */
export async function runPair(contest: Contest, pair: Pair, images: ImagePair): Promise<PairResult> {
  const { source, target } = images;
  await warmCache(images);
  const entries: Entry[] = [];
  for (const contestant of contest.contestants) {
    const entry = await runContestant(contest, contestant, images);
    contest.report(`${pairName(pair)}  ${contenderName(contestant)}  ${describe(entry)}`);
    entries.push(entry);
  }
  return {
    ...pair,
    rawSize: streamSize(target.record),
    pullSize: pullSize(target.record),
    dedupedPullSize: pullSize(target.record, source.record),
    entries,
  };
}

/** Fills Node's compile cache before the measurements, since an installed panamax needs no types stripped. */
export async function rehearse(contest: Contest, images: ImagePair): Promise<void> {
  const panamax = contest.contestants.filter(({ effort }) => effort !== undefined);
  for (const tool of new Set(panamax.map(({ tool }) => tool))) {
    await runContestant(
      contest,
      panamax.find((one) => one.tool === tool)!,
      images,
    );
  }
}

async function runContestant(contest: Contest, contestant: Contestant, images: ImagePair): Promise<Entry> {
  const { tool, effort } = contestant;
  const contender = { tool, ...(effort ? { effort } : {}) };
  const reason = contestant.passesOver?.(images);
  if (reason !== undefined) return { ...contender, failure: `skipped: ${reason}` };
  const patch = join(contest.scratch, 'patch');
  try {
    const encode = await contest.measure(contestant.encode(images, patch), contest.signal);
    const bytes = (await stat(patch)).size;
    return { ...contender, bytes, encode, ...(await applyPatch(contest, contestant, images, patch)) };
  } catch (error) {
    contest.signal.throwIfAborted();
    return { ...contender, failure: toPanamaxError(error).message };
  } finally {
    await rm(patch, { force: true });
  }
}

async function applyPatch(
  contest: Contest,
  contestant: Contestant,
  images: ImagePair,
  patch: string,
): Promise<Pick<Done, 'apply' | 'stockApply'>> {
  const output = join(contest.scratch, 'output');
  const applied = async (command: CommandLine | undefined): Promise<Usage | undefined> => {
    if (command === undefined || findProgram(command[0]) === undefined) return undefined;
    try {
      const usage = await contest.measure(command, contest.signal);
      await verify(output, images.target);
      return usage;
    } finally {
      await rm(output, { force: true });
    }
  };
  const apply = await applied(contestant.apply?.(images, patch, output));
  const stockApply = await applied(contestant.stockApply?.(images, patch, output));
  return { ...(apply ? { apply } : {}), ...(stockApply ? { stockApply } : {}) };
}

/** @throws PanamaxError `bad-patch` if a contestant's output is not the target's layer stream */
async function verify(path: string, target: CorpusImage): Promise<void> {
  await verifyStream(target.record, createReadStream(path, { highWaterMark: 1024 ** 2 }));
}

function describe(entry: Entry): string {
  if ('failure' in entry) return entry.failure;
  const { bytes, encode, apply } = entry;
  return `${bytes} B, ${encode.wallSeconds} s${apply ? `, applied in ${apply.wallSeconds} s` : ''}`;
}
