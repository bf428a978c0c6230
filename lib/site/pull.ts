import { join } from 'node:path';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Engine, EngineImage } from '../image/engine/engine.ts';
import { formatReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import { checkDestination } from '../image/write/destination.ts';
import { sweepScratch } from '../runtime/scratch.ts';
import type { Attachments } from '../store/attached/attachments.ts';
import type { ImageIdentity } from '../store/descriptor.ts';
import { askAttachments, uncosignedError, writeAttached } from './attached.ts';
import { findResidents, isImage, type Resident } from './choice/resident.ts';
import { countBytes } from './offers/counted.ts';
import type { Answer, Origin } from './offers/origin.ts';
import { dropPartials, sweepPartials } from './offers/partial.ts';
import { registryOrigin } from './offers/registryorigin.ts';
import { storeOrigin } from './offers/storeorigin.ts';
import { rebuildImage } from './rebuild.ts';
import { digestsOf, engineName, type PullOutcome, type PullTask, type Site } from './site.ts';
import { engineSink } from './sinks/engine.ts';
import { fileSink } from './sinks/file.ts';
import type { Sink } from './sinks/sink.ts';
import { pullsItself, pullWhole } from './whole.ts';

/**
 * Brings an image to a site: by the smallest patches from images that are there, otherwise by the engine's own pull.
 * The engine ends up with the image under the name that was asked for, or with its previous images.
 *
 * @throws PanamaxError `untrusted` for a name that is not signed as required, `expired`, or `io` if an origin that may have its
 *   signed record cannot be reached; without fallback `no-patch`, or the last
 *   patch's error; `io` if the engine cannot be asked; `io` or `not-found` if the destination cannot be written. The
 *   latter also in a dry run.
 */
export async function pull(task: PullTask, site: Site): Promise<PullOutcome> {
  if (task.destination) await checkDestination(task.destination, site.signal);
  await sweepPartials(join(site.state, 'partial'));
  await sweepScratch(site.scratch);
  // lists the images before the pull; the sink asks the engine anew
  const listing = site.engine && listOnce(site.engine);
  let received = 0;
  const onBytes = (count: number) => {
    received += count;
    site.onBytes?.(count);
  };

  // 1. ask each origin, until the image is there or can be rebuilt
  let progress: Progress = { reasons: [] };
  for (const origin of originsOf(task, site, onBytes)) {
    progress = await tryOrigin(task, site, listing, origin, progress);
    const { done } = progress;
    if (done) {
      const movedBytes = received + (done.patch && task.dryRun ? done.patch.size : 0);
      return { ...done, movedBytes, ...(await writeAttached(task, progress.attachments)) };
    }
    if (progress.isSiteAtFault) break;
  }

  // 2. leave the pull to the engine
  const { target, pullSize, lacking, reasons, failure, residents } = progress;
  if (site.verifyCosign && !progress.isCosigned)
    throw uncosignedError(task.name, progress.reasons, progress.unreachable);
  if (!task.fallback || !site.engine || task.destination) {
    throw failure ?? new PanamaxError('no-patch', `no patch: ${reasons.join('; ')}`);
  }
  if (site.verify && !target && !task.name.digest && !task.allowUnsigned) {
    throw unsignedError(task.name, reasons, progress.unreachable);
  }
  // an engine that does not answer cannot pull, and an image is not copied for it
  if (!residents && (task.dryRun || site.engine.transport === 'containerd')) await listing?.list();
  if (!task.dryRun) {
    const trusted = site.verify || site.verifyCosign ? target?.manifest : undefined;
    await pullWhole(task, trusted, { ...site, engine: site.engine }, onBytes).catch((error: unknown) => {
      site.signal.throwIfAborted();
      const { kind, message } = toPanamaxError(error);
      throw new PanamaxError(kind, `${message}; before that: ${reasons.join('; ')}`, {}, { cause: error });
    });
  }
  return {
    method: 'pull',
    ...(target && { target: digestsOf(target) }),
    movedBytes: received,
    ...(await writeAttached(task, progress.attachments)),
    ...(pullSize !== undefined && { pullBytes: pullSize }),
    ...(pullSize !== undefined &&
      pullsItself(site) && { enginePull: { most: pullSize, ...(lacking !== undefined && { lacking }) } }),
    reasons,
  };
}

/** Lists the engine's images once, because an engine that does not answer takes long to fail. */
function listOnce(engine: Engine): Engine {
  let answer: Promise<readonly EngineImage[]> | undefined;
  return { ...engine, list: () => (answer ??= engine.list()) };
}

/**
 * The store, then the registry, if there is no store or the engine would pull from the registry next. A site without a
 * network does not wait for a registry.
 */
function originsOf(task: PullTask, site: Site, onBytes: (count: number) => void): Origin[] {
  const origins: Origin[] = [];
  const { openStore, openRegistry, engine } = site;
  const { allowUnsigned = false } = task;
  const options = { ...site, keepsNames: !task.dryRun, allowUnsigned };
  if (openStore) {
    const open = async () => countBytes(await openStore(), onBytes);
    origins.push(storeOrigin(task, options, open));
  }
  if (openRegistry && (!openStore || (task.fallback && engine && !task.destination))) {
    const repository = openRegistry(onBytes);
    origins.push(registryOrigin(task, options, repository));
  }
  return origins;
}

/** Results of the origins so far. */
interface Progress {
  readonly residents?: readonly Resident[];
  readonly target?: ImageIdentity;
  /** Of the target, in bytes. */
  readonly pullSize?: number;
  /** Of layers of the target that no resident has, in bytes. */
  readonly lacking?: number;
  readonly reasons: readonly string[];
  /** The last one. */
  readonly failure?: PanamaxError;
  /** The failure of an origin that may answer later. */
  readonly unreachable?: PanamaxError;
  /** Patches of other origins would fail, too. */
  readonly isSiteAtFault?: boolean;
  readonly done?: Omit<PullOutcome, 'movedBytes'>;
  /** Artifacts of the target. */
  readonly attachments?: Attachments | undefined;
  /** A trusted cosign key has signed the target. */
  readonly isCosigned?: boolean;
}

/** @throws PanamaxError `untrusted`, `expired`, `internal`; the reason of an abort */
async function tryOrigin(
  task: PullTask,
  site: Site,
  listing: Engine | undefined,
  origin: Origin,
  before: Progress,
): Promise<Progress> {
  let progress = before;
  try {
    const { limits } = site;
    const platform = task.platform && { platform: task.platform };
    const residents =
      progress.residents ?? (await findResidents(listing, task.sources, { limits, ...platform }));
    progress = { ...progress, residents };
    const answer = await origin.ask({
      residents,
      ...(progress.target && { known: progress.target.manifest }),
    });
    if (typeof answer === 'string') return { ...progress, reasons: [...progress.reasons, answer] };
    progress = { ...progress, ...factsOf(answer, residents), isCosigned: false };
    progress = { ...progress, ...(await askAttachments(task, site, origin.label, answer, progress)) };
    if (site.verifyCosign && !progress.isCosigned) return progress;
    return { ...progress, ...(await bring(task, site, origin.label, answer, residents, progress.reasons)) };
  } catch (error) {
    site.signal.throwIfAborted();
    const failure = toPanamaxError(error);
    if (/^(untrusted|expired|internal)$/.test(failure.kind)) throw failure;
    const { message } = failure;
    // an engine that fails does so for each origin
    const isNew = !progress.reasons.includes(message);
    const reasons = isNew ? [...progress.reasons, message] : progress.reasons;
    const isTemporary = failure.kind === 'io' && !failure.facts.isFinal;
    return { ...progress, failure, reasons, ...(isTemporary && { unreachable: failure }) };
  }
}

/** The error of a pull that requires signatures, for a name without a signed record. */
function unsignedError(
  name: ReleaseName,
  reasons: readonly string[],
  unreachable: PanamaxError | undefined,
): PanamaxError {
  const text = formatReleaseName(name);
  const why = `no trusted key names the image of ${text}, and the engine may not pull it unsigned`;
  return new PanamaxError(
    unreachable ? 'io' : 'untrusted',
    `${why} (--allow-unsigned-pull permits it): ${reasons.join('; ')}`,
    {},
    { cause: unreachable },
  );
}

function factsOf({ target, pullSize, layers }: Answer, residents: readonly Resident[]) {
  return {
    target,
    ...(pullSize !== undefined && { pullSize }),
    ...(layers && { lacking: lackingOf(layers, residents) }),
  };
}

/** Tags the image if the engine has it, otherwise rebuilds it. */
async function bring(
  task: PullTask,
  site: Site,
  label: string,
  answer: Answer,
  residents: readonly Resident[],
  before: readonly string[],
): Promise<Pick<Progress, 'reasons' | 'failure' | 'isSiteAtFault' | 'done'>> {
  const { target } = answer;
  const { dryRun } = task;
  const present = !task.destination && residents.find((image) => isImage(image, target));
  if (present) {
    if (!dryRun) {
      await site.engine?.tag(present.config, engineName(task.name));
      const digests = answer.offers?.map(({ digest }) => digest) ?? [];
      await dropPartials(join(site.state, 'partial'), digests);
    }
    return {
      reasons: before,
      done: { method: 'none', target: digestsOf(target), pullBytes: 0, reasons: [] },
    };
  }
  const rebuildTask = { answer, residents, label, dryRun, onPlan: site.onPlan };
  const result = await rebuildImage(rebuildTask, sinkOf(task, site), site);
  const reasons = [...before, ...result.reasons];
  if (!result.plan) {
    const { failure, isSiteAtFault } = result;
    return { reasons, isSiteAtFault, ...(failure && { failure }) };
  }
  const { plan, isExact } = result;
  return {
    reasons,
    done: {
      method: 'patch',
      target: digestsOf(target),
      patch: plan,
      ...(isExact !== undefined && { keepsManifest: isExact }),
      pullBytes: plan.offer.pullSize,
      reasons,
    },
  };
}

function sinkOf({ destination, name, isPlain = false }: PullTask, { engine, signal }: Site): Sink {
  if (destination) return fileSink(destination, { isPlain, signal });
  if (engine) return engineSink(engine, name, { isPlain, signal });
  throw new PanamaxError('internal', 'a pull without an engine and a destination');
}

function lackingOf(layers: NonNullable<Answer['layers']>, residents: readonly Resident[]): number {
  const there = new Set(residents.flatMap(({ diffIDs }) => diffIDs));
  const lacking = new Map(
    layers.filter(({ diffID }) => !there.has(diffID)).map(({ diffID, size }) => [diffID, size]),
  );
  return lacking.values().reduce((sum, size) => sum + size, 0);
}
