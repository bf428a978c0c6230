import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatNamed } from '../delta/formats.ts';
import { toPanamaxError } from '../errors.ts';
import { createScratch } from '../runtime/scratch.ts';
import type { Link } from './choice/chain.ts';
import type { Resident } from './choice/resident.ts';
import { checkTarget } from './fetch.ts';
import { followFile } from './offers/arriving.ts';
import { claimPartial } from './offers/partial.ts';
import type { Workplace } from './site.ts';
import type { Sink } from './sinks/sink.ts';

/** Time for a download to notice that it is no longer wanted, in milliseconds. */
const ENDING = 3000;

/** Whether a patch can be applied while it arrives. */
export function canBeEarly({ offer }: Link): boolean {
  return formatNamed(offer.format).traits.readsInOrder === true;
}

/**
 * Rebuilds the target of a patch while the patch is downloaded. The sink proves the target's layers; the digest of the
 * patch is compared before the sink completes the image.
 *
 * @param onFetched called once the patch is there
 * @returns the result of `Sink.finish`
 * @throws PanamaxError as `fetchPatches` and `Patch.apply` do
 */
export async function applyEarly(
  { offer, target }: Link,
  sourceImages: readonly Resident[],
  sink: Sink,
  workplace: Workplace,
  onFetched: () => void = () => {},
): Promise<boolean> {
  const { state, limits } = workplace;
  const partials = join(state, 'partial');
  const partial = await claimPartial(partials, offer.digest);
  const stop = new AbortController();
  const signal = AbortSignal.any([workplace.signal, stop.signal]);
  const fetching = offer.fetch(partial.path, partials, signal).then(onFetched);
  const arriving = followFile(partial.path, fetching, signal);
  try {
    await using scratch = await createScratch(workplace.scratch);
    const [work, output] = [join(scratch.path, 'patch'), join(scratch.path, 'output')];
    for (const directory of [work, output]) await mkdir(directory);
    const sources: string[] = [];
    for (const image of sourceImages) sources.push(await image.reference(work));

    const patch = await formatNamed(offer.format).read(partial.path, limits, arriving);
    checkTarget(patch.target, target);
    const { record, stream } = await patch.apply({ sources }, { scratch: work, limits, signal });
    await sink.write(record, stream, output);
    await fetching;
    await rm(work, { recursive: true });
    const isExact = await sink.finish(record, output);
    await partial.remove();
    return isExact;
  } catch (error) {
    stop.abort();
    await Promise.race([fetching.catch(() => {}), delay(ENDING)]);
    await (toPanamaxError(error).kind === 'bad-patch' ? partial.remove() : partial.release());
    throw error;
  }
}
