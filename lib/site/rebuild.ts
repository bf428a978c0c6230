import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyPatchFile } from '../delta/apply.ts';
import { toPanamaxError, type ErrorKind, type PanamaxError } from '../errors.ts';
import { imageSink } from '../image/write/sink.ts';
import { createScratch } from '../runtime/scratch.ts';
import { choosePatches, type PullPlan } from './choice/plan.ts';
import { checkRequirements } from './choice/requirements.ts';
import type { Resident } from './choice/resident.ts';
import { applyEarly, canBeEarly } from './early.ts';
import { fetchPatches, type FetchedPatches } from './fetch.ts';
import type { Answer } from './offers/origin.ts';
import type { Workplace } from './site.ts';
import type { Sink } from './sinks/sink.ts';

export interface RebuildTask {
  /** The target and the patches on offer. */
  readonly answer: Answer;
  /** The images at the site. */
  readonly residents: readonly Resident[];
  /** Of the origin, for reasons. */
  readonly label: string;
  readonly dryRun?: boolean;
  /** Called before the patches of a plan are downloaded. */
  readonly onPlan?: ((plan: PullPlan) => void) | undefined;
  /** Whether a patch may be applied while it arrives. The sink then gets bytes before the patch's digest is compared. */
  readonly isEarly?: boolean;
  /** Called once the patches of a plan are there. */
  readonly onFetched?: () => void;
}

export interface Rebuilt {
  readonly plan: PullPlan;
  /** The result of `Sink.finish`; undefined in a dry run. */
  readonly isExact?: boolean;
  /** Why other patches were not used. */
  readonly reasons: readonly string[];
}

export interface NotRebuilt {
  readonly plan?: undefined;
  readonly reasons: readonly string[];
  /** Of the last patch that was tried. */
  readonly failure?: PanamaxError;
  /** A sound patch was downloaded and could not be used, so patches of other origins would fail, too. */
  readonly isSiteAtFault: boolean;
}

/** Error kinds after which the next patch is tried. Disk, network and engine errors would recur with it. */
const NEXT: readonly ErrorKind[] = [
  'bad-patch',
  'not-found',
  'untrusted',
  'wrong-source',
  'bad-input',
  'limit',
];

/**
 * Rebuilds an image from images of the site and patches on offer, smallest patches first.
 *
 * @throws PanamaxError `internal`; the reason of an abort
 */
export async function rebuildImage(
  { answer, residents, label, dryRun = false, onPlan, isEarly = false, onFetched }: RebuildTask,
  sink: Sink,
  workplace: Workplace,
): Promise<Rebuilt | NotRebuilt> {
  const { verify, scratch, state, signal } = workplace;
  const { choices, reasons: known } = await choosePatches(answer, residents, label, signal);
  const reasons = [...known];
  let failure: PanamaxError | undefined;
  for (const { plan, sourceImages } of choices) {
    let patches: FetchedPatches | undefined;
    try {
      if (verify) for (const { offer } of linksOf(plan)) offer.verify(verify);
      await checkRequirements(plan.need, scratch, state);
      if (dryRun) return { plan, reasons };
      onPlan?.(plan);
      const [link, ...others] = linksOf(plan);
      if (isEarly && others.length === 0 && canBeEarly(link!)) {
        return { plan, isExact: await applyEarly(link!, sourceImages, sink, workplace, onFetched), reasons };
      }
      patches = await fetchPatches(linksOf(plan), workplace);
      onFetched?.();
      const isExact = await applyPatches(patches.paths, sourceImages, sink, workplace);
      await patches.remove();
      return { plan, isExact, reasons };
    } catch (error) {
      await patches?.giveUp(error);
      signal.throwIfAborted();
      failure = toPanamaxError(error);
      const { kind, message } = failure;
      if (kind === 'internal') throw failure;
      reasons.push(`patch from ${plan.source}: ${message}`);
      if (!NEXT.includes(kind)) return { reasons, failure, isSiteAtFault: patches !== undefined };
    }
  }
  return { reasons, ...(failure && { failure }), isSiteAtFault: false };
}

const linksOf = ({ before, offer, target }: PullPlan) => [...before, { offer, target }];

/** Applies patches one after the other: each but the last rebuilds the layer stream that the next one applies to. */
async function applyPatches(
  patches: readonly string[],
  sourceImages: readonly Resident[],
  sink: Sink,
  { scratch: parent, limits, signal }: Workplace,
): Promise<boolean> {
  await using scratch = await createScratch(parent);
  const directory = async (name: string) => {
    const path = join(scratch.path, name);
    await mkdir(path);
    return path;
  };

  // 1. export the source images beside the first patch's scratch files
  let work = await directory('patch-0');
  let sources: string[] = [];
  for (const image of sourceImages) sources.push(await image.reference(work));

  // 2. rebuild the images between; scratch files of a step are removed once the next one has its source
  for (const [i, patch] of patches.slice(0, -1).entries()) {
    const next = await directory(`patch-${i + 1}`);
    const path = join(next, 'stream');
    const between = imageSink({ transport: 'stream', path });
    await applyPatchFile({ patch, sources, sink: between }, { scratch: work, limits, signal });
    await rm(work, { recursive: true });
    work = next;
    sources = [`stream:${path}`];
  }

  // 3. rebuild the target; the sink may need the space of the scratch files to complete it
  const output = await directory('output');
  const target = await applyPatchFile(
    { patch: patches.at(-1)!, sources, sink: (image, stream) => sink.write(image, stream, output) },
    { scratch: work, limits, signal },
  );
  await rm(work, { recursive: true });
  // awaited here, because the scratch directory is removed at the end of this scope
  return await sink.finish(target, output);
}
