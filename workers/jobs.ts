import { parseDigest } from '../lib/digest.ts';
import { asRecord, asString } from '../lib/json.ts';
import { PanamaxError, printable } from '../lib/errors.ts';
import { checkRunId } from '../lib/run/plan.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { DeltaJob, ItemJob, PairingJob, SignatureJob, StageJob } from './flow.ts';

/**
 * What jobs of the queues say: whoever can write into Redis may have put them there, and names of runs and items become
 * names of objects.
 */

export interface RunJob {
  readonly run: string;
  /** Of the coordinator. */
  readonly name: string;
}

/** As `items` makes them. */
const ITEM = /^[0-9a-f]{32}$/;
/** As `scopeOf` makes them. */
const SCOPE = /^[0-9a-f]{16}$/;
const NAME = /^[\w-]{1,64}$/;

/** @throws PanamaxError `bad-input` */
export function parseItemJob<S extends Stage>(stage: S, data: unknown, where: string): StageJob[S];
export function parseItemJob(stage: Stage, data: unknown, where: string): ItemJob {
  const record = asRecord(data, where);
  const head: DeltaJob = {
    run: parseRun(record['run'], where),
    item: matching(record['item'], ITEM, `${where} item`),
  };
  if (stage === 'delta') return head;
  if (stage === 'signature') {
    return { ...head, reference: asString(record['reference'], `${where} reference`) } satisfies SignatureJob;
  }
  const target = asRecord(record['target'], `${where} target`);
  return {
    ...head,
    target: {
      manifest: parseDigest(target['manifest'], `${where} manifest`),
      reference: asString(target['reference'], `${where} reference`),
    },
    scope: matching(record['scope'], SCOPE, `${where} scope`),
    ...(record['together'] === true && { together: true }),
  } satisfies PairingJob;
}

/** @throws PanamaxError `bad-input` */
export function parseRunJob(data: unknown, where: string): RunJob {
  const record = asRecord(data, where);
  return { run: parseRun(record['run'], where), name: matching(record['name'], NAME, `${where} name`) };
}

function parseRun(value: unknown, where: string): string {
  const run = asString(value, `${where} run`);
  try {
    return checkRunId(run);
  } catch (error) {
    throw new PanamaxError('bad-input', (error as Error).message, { where }, { cause: error });
  }
}

function matching(value: unknown, form: RegExp, where: string): string {
  const text = asString(value, where);
  if (form.test(text)) return text;
  throw new PanamaxError('bad-input', 'not what a job says', {
    expected: form.source,
    found: printable(text),
    where,
  });
}
