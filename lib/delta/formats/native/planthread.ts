import { serveThread } from '../../../runtime/threadmain.ts';
import { planPatch, type PlanOptions } from './plan.ts';
import type { StoredSide } from './storedside.ts';

/** The body of the thread that plans a patch. Its memory is freed when it ends. */

export interface PlanTask {
  readonly source: StoredSide;
  readonly target: StoredSide;
  readonly options: Omit<PlanOptions, 'signal'>;
}

export const handler = serveThread(({ source, target, options }: PlanTask) =>
  planPatch(source, target, options),
);
