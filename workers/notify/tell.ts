import { createHash } from 'node:crypto';
import { toPanamaxError, type PanamaxError } from '../../lib/errors.ts';
import { loadPair, nameSources } from '../../lib/run/record.ts';
import type { RunSummary } from '../../lib/run/report.ts';
import type { PatchOutcome } from '../../lib/run/schemas.ts';
import type { Stage } from '../../lib/run/stage.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import type { StageContext } from '../context.ts';
import type { ItemJob } from '../jobs.ts';
import type { Event, EventType } from './events.ts';

type Notifying = Pick<StageContext, 'store' | 'log' | 'notify'>;

/** @param before whether the run was over before, so that its end is known */
export function notifyFinished(
  { notify }: Notifying,
  summary: RunSummary | undefined,
  before: boolean,
): void {
  if (!notify || !summary || before) return;
  const { id: run, parts: _, ...rest } = summary;
  const { stages, bytes } = rest;
  const data = { version: 1, run, ...rest } as const;
  notify(eventOf('panamax.run.finished', run, data, { stages, bytes }));
}

/** Tells that a run cannot be led to its end. */
export function notifyRunFailed({ notify }: Notifying, run: string, { kind, message }: PanamaxError): void {
  const data = { version: 1, run, error: { kind, message } } as const;
  notify?.(eventOf('panamax.run.failed', run, data));
}

/** Tells of the patches that an item has made. Their images are read from the run's record. */
export async function notifyPatches(context: Notifying, job: ItemJob, outcome: object): Promise<void> {
  const { notify, store, log } = context;
  const patches = 'patches' in outcome ? (outcome.patches as readonly PatchOutcome[]) : [];
  const made = patches.filter(
    ({ descriptor, encodeSeconds }) => descriptor.patch && encodeSeconds !== undefined,
  );
  if (!notify || made.length === 0 || !('ranking' in job)) return;
  const { run, item, ranking } = job;
  try {
    const { target, sources } = await loadPair(store, run, ranking, item);
    for (const { descriptor } of made) {
      const { format, source, patch, sizes } = descriptor;
      const names = { target, source: { manifest: source.manifest, reference: nameSources({ sources }) } };
      const data = { version: 1, run, ...names, format, patch: patch!, pull: sizes.pull } as const;
      notify(eventOf('panamax.patch.published', target.reference, data));
    }
  } catch (error) {
    log.warn({ error: toPanamaxError(error).message }, 'patches are not told of');
  }
}

/** Tells of an item that has failed for good. */
export async function notifyFailure(
  context: Notifying,
  stage: Stage,
  job: ItemJob,
  { kind, message }: PanamaxError,
): Promise<void> {
  const { notify, store } = context;
  if (!notify) return;
  const { run, item } = job;
  const subject = (await subjectOf(job, store)) ?? item;
  const data = { version: 1, run, stage, item, subject, error: { kind, message } } as const;
  notify(eventOf('panamax.item.failed', subject, data));
}

/** The reference of the image that an item is about. */
async function subjectOf(job: ItemJob, store: Store): Promise<string | undefined> {
  if ('reference' in job) return job.reference;
  if ('target' in job) return job.target.reference;
  const pair = await loadPair(store, job.run, job.ranking, job.item).catch(() => undefined);
  return pair?.target.reference;
}

/** @param identity the data that tells events of this type apart */
function eventOf<Type extends EventType>(
  type: Type,
  subject: string,
  data: Event<Type>['data'],
  identity: object = data,
): Event {
  const id = createHash('sha256')
    .update(JSON.stringify([type, subject, identity]))
    .digest('hex')
    .slice(0, 32);
  return { id, type, subject, data };
}
