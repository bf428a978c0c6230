import { toPanamaxError } from '../errors.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { choosePatches } from '../site/choice/plan.ts';
import type { Resident } from '../site/choice/resident.ts';
import type { Answer, Origin } from '../site/offers/origin.ts';
import { raceAbort } from '../runtime/abort.ts';
import type { BlobCache } from './blobcache.ts';
import type { Context } from './context.ts';
import { isWhole } from './heldimages.ts';
import type { HeldManifest } from './records.ts';
import { originsOf } from './resolve.ts';
import type { Place } from './upstream.ts';

/** How the blobs of an image come to the mirror. */
export type Way = { readonly kind: 'held' } | PatchWay | PassWay;

/** Blobs come from the upstream, each when it is asked for, unless they are too large together. */
export interface PassWay {
  readonly kind: 'pass' | 'refused';
  readonly reason: PassReason;
  readonly detail: string;
}

export interface PatchWay {
  readonly kind: 'patch';
  readonly origin: string;
  readonly answer: Answer;
  readonly residents: readonly Resident[];
  /** Of the patches, in bytes. */
  readonly size: number;
}

export type PassReason = 'not an image' | 'no source' | 'no patch' | 'late' | 'failed';

/** Time for the choice beyond that for an answer, in milliseconds: the manifest is answered after it. */
const CHOICE_TIME = 1000;

/** Chooses how an image comes. Errors of the store and of patches make it pass through. @throws the reason of an abort */
export async function chooseWay(
  place: Place,
  manifest: HeldManifest,
  listResidents: () => Promise<Resident[]>,
  context: Context,
): Promise<Way> {
  const { cache, maxPass = Infinity } = context;
  if (isWhole(manifest, cache)) return { kind: 'held' };
  const way = await choosePatchOrPass(place, manifest, listResidents, context);
  const isTooLarge = way.kind === 'pass' && missingBytes(manifest, cache) > maxPass;
  return isTooLarge ? { ...way, kind: 'refused' } : way;
}

async function choosePatchOrPass(
  place: Place,
  manifest: HeldManifest,
  listResidents: () => Promise<Resident[]>,
  context: Context,
): Promise<PatchWay | PassWay> {
  const { signal, limits, answerTime } = context;
  try {
    parseManifest(manifest.bytes, limits, manifest.digest);
  } catch (error) {
    return { kind: 'pass', reason: 'not an image', detail: toPanamaxError(error).message };
  }
  const residents = await listResidents();
  if (residents.length === 0) return { kind: 'pass', reason: 'no source', detail: 'no image is held' };

  const late = AbortSignal.timeout(answerTime + CHOICE_TIME);
  const details: string[] = [];
  let reason: PassReason = 'no patch';
  const { repository } = place;
  for (const origin of originsOf({ repository, digest: manifest.digest }, place, context)) {
    try {
      const choice = choosePatch(origin, manifest, residents, context);
      const found = await raceAbort(choice, AbortSignal.any([late, signal]));
      if (typeof found !== 'string') return found;
      details.push(found);
    } catch (error) {
      signal.throwIfAborted();
      reason = late.aborted ? 'late' : 'failed';
      details.push(late.aborted ? `${origin.label} takes too long` : toPanamaxError(error).message);
    }
  }
  return { kind: 'pass', reason, detail: details.join('; ') };
}

/** @returns a message if the origin has no patch that moves less than the blobs that are missing */
async function choosePatch(
  origin: Origin,
  manifest: HeldManifest,
  residents: readonly Resident[],
  { cache, signal }: Context,
): Promise<PatchWay | string> {
  const answer = await origin.ask({ residents, known: manifest.digest });
  if (typeof answer === 'string') return answer;
  const { choices, reasons } = await choosePatches(answer, residents, origin.label, signal);
  const [best] = choices;
  if (!best) return reasons.join('; ');
  const rest = missingBytes(manifest, cache);
  const { size } = best.plan;
  if (size >= rest) return `the patch of ${size} bytes is not smaller than the missing ${rest} bytes`;
  return { kind: 'patch', origin: origin.label, answer, residents, size };
}

/** Size of the blobs that are not there, each once. */
function missingBytes({ blobs }: HeldManifest, cache: BlobCache): number {
  const missing = blobs.filter((blob) => !cache.isThere(blob.digest));
  const sizes = new Map(missing.map((blob) => [blob.digest, blob.size]));
  return sizes.values().reduce((sum, size) => sum + size, 0);
}
