/** Stages that do nothing, for runs of which only the record and the queue count. */
import { digestOf } from '../../lib/digest.ts';
import { items } from '../../lib/run/request.ts';
import type { StageHandlers } from '../../workers/flow.ts';
import { imagesOfScope } from '../../workers/scopes.ts';
import { makeCandidate } from './candidate.ts';

/** @param top pairs that a ranking chooses */
export function idleStages(top: number): StageHandlers {
  return {
    async signature({ reference }) {
      return { status: 'done', outcome: { reference, manifest: digestOf(reference), size: 1 } };
    },
    async pairing({ run, item, target, scope }, request, { store }) {
      const { images } = await imagesOfScope(request, scope, store);
      const sources = images.filter(({ manifest }) => manifest !== target.manifest).slice(0, top);
      const pairs = sources.map((source) => ({
        sources: [source],
        candidate: makeCandidate(source.manifest),
      }));
      const jobs = sources.map(({ manifest }) => ({
        run,
        item: items.delta(target.manifest, manifest),
        ranking: item,
      }));
      const outcome = { target, scope, pairs, passedOver: [] };
      return { status: 'done', outcome, next: { stage: 'delta', jobs } };
    },
    async delta() {
      return { status: 'done', outcome: { patches: [] } };
    },
  };
}
