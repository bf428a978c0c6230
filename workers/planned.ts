import { PanamaxError } from '../lib/errors.ts';
import { readOutcomes } from '../lib/run/outcome.ts';
import { loadPair } from '../lib/run/record.ts';
import { imagesOf, items, type RunRequest } from '../lib/run/request.ts';
import type { NamedImage } from '../lib/run/schemas.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { imagesOfScope, type ImageSet } from './scopes.ts';
import type { DeltaJob, PairingJob, SignatureJob, StageJob } from './jobs.ts';

/**
 * Whether a job follows from the record of its run in the store. Anybody with access to Redis can add jobs, and a job of
 * any other image would make the worker read it.
 *
 * @throws PanamaxError `bad-input` for a damaged record; `io`
 */
export async function isPlanned<S extends Stage>(
  stage: S,
  job: StageJob[S],
  request: RunRequest,
  store: Store,
): Promise<boolean> {
  try {
    return await CHECKS[stage](job, request, store);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'not-found') return false;
    throw error;
  }
}

type Checks = {
  readonly [S in Stage]: (job: StageJob[S], request: RunRequest, store: Store) => Promise<boolean>;
};

const CHECKS: Checks = {
  async signature({ item, reference }: SignatureJob, request: RunRequest): Promise<boolean> {
    return (
      item === items.signature(reference, request.platform) && referencesOf(request).images.has(reference)
    );
  },

  async pairing(
    { item, target, scope, together = false }: PairingJob,
    request: RunRequest,
    store: Store,
  ): Promise<boolean> {
    if (item !== items.pairing(target.manifest, scope)) return false;
    const set = await imagesOfScope(request, scope, store);
    return set.nameOf(together) === scope && (await isTarget(target, set, request, store));
  },

  async delta({ run, ranking, item }: DeltaJob, request: RunRequest, store: Store): Promise<boolean> {
    const { target, sources } = await loadPair(store, run, ranking, item);
    const { targets, images } = referencesOf(request);
    return targets.has(target.reference) && sources.every(({ reference }) => images.has(reference));
  },
};

/** Whether a target of the run was read under this reference and has this digest. @param set of sources */
async function isTarget(
  { reference, manifest }: NamedImage,
  { referenceOf }: ImageSet,
  request: RunRequest,
  store: Store,
): Promise<boolean> {
  if (!referencesOf(request).targets.has(reference)) return false;
  if (referenceOf.get(manifest) === reference) return true;
  const item = items.signature(reference, request.platform);
  for (const status of ['done', 'skipped'] as const) {
    const read = await readOutcomes(store, request.id, 'signature', new Map([[item, status]]));
    const outcome = read.get(item);
    if (outcome && outcome.status !== 'failed' && outcome.manifest === manifest) return true;
  }
  return false;
}

interface References {
  readonly targets: ReadonlySet<string>;
  readonly images: ReadonlySet<string>;
}

const known = new WeakMap<RunRequest, References>();

/** The sets are made once for a request, which may name many thousand images. */
function referencesOf(request: RunRequest): References {
  const found = known.get(request) ?? {
    targets: new Set(request.targets),
    images: new Set(imagesOf(request)),
  };
  known.set(request, found);
  return found;
}
