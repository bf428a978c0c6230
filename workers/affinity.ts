import { randomUUID } from 'node:crypto';
import type { Leases } from '../lib/queue/lease.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { JobAttempt } from '../lib/queue/worker.ts';
import { sourceOf } from '../lib/run/request.ts';
import { bandOf, numberOfPair } from './schedule.ts';

/**
 * Brings pairs to the worker that has unpacked their source. A worker claims the source of each pair that it makes. It
 * gives a pair back whose source another worker claims, if there is a choice: a pair of the same priority whose source
 * it has itself or nobody claims. It moves that one to the front of the queue. Claims are leases: they end a while after
 * the last pair. They save work; correctness does not rest on them.
 */
export interface Affinity {
  /**
   * Claims the source of a pair, until the result is disposed of and a while longer.
   *
   * @returns undefined if the pair is to be given back: another one is first in the queue now
   */
  claim(item: string, attempt: Attempt): Promise<Disposable | undefined>;
}

type Attempt = Pick<JobAttempt, 'id' | 'priority' | 'starts'>;

/** Jobs that are looked at for a better one. */
const LOOKED_AT = 200;
/** Sources that are likely to be on scratch still. */
const MOST_KEPT = 8;
/** A job that has been given back so often is made by any worker. */
const MOST_STARTS = 20;

const nameOf = (source: string) => `source.${source}`;

/** @param renewal interval at which a claim is renewed, in milliseconds */
export function createAffinity(queues: Queues, leases: Leases, renewal: number): Affinity {
  const owner = randomUUID();
  /** Sources of the last pairs of this worker. */
  const made = new Set<string>();
  const take = (source: string) => leases.take(nameOf(source), owner);

  /** A job of the same band whose source this worker has made a pair of before, or else nobody claims. */
  async function findOther(priority: number): Promise<string | undefined> {
    const bySource = new Map<string, string>();
    for (const id of await queues.waiting('delta', bandOf(priority), LOOKED_AT)) {
      const source = sourceOf(id.slice(id.lastIndexOf('.') + 1));
      if (!bySource.has(source)) bySource.set(source, id);
    }
    const sources = [...bySource.keys()];
    const own = sources.find((source) => made.has(source));
    if (own !== undefined) return bySource.get(own);
    const owners = await leases.owners(sources.map(nameOf));
    const isFree = (_: string, i: number) => owners[i] === undefined || owners[i] === owner;
    for (const source of sources.filter(isFree)) {
      // another worker may have been faster
      if (await take(source)) return bySource.get(source);
    }
    return undefined;
  }

  function noteMade(source: string): void {
    made.delete(source);
    made.add(source);
    if (made.size > MOST_KEPT) made.delete(made.values().next().value!);
  }

  async function isToGiveBack(item: string, { id, priority, starts }: Attempt): Promise<boolean> {
    const source = sourceOf(item);
    if ((await take(source)) || made.has(source) || starts > MOST_STARTS) return false;
    const other = await findOther(priority);
    if (other === undefined) return false;
    const { first } = bandOf(priority);
    // it may have been asked for by another worker
    if (priority === first) await queues.changePriority('delta', id, numberOfPair(item, first));
    await queues.changePriority('delta', other, first);
    return true;
  }

  return {
    async claim(item, attempt) {
      // without Redis the pair is made where it is
      if (await isToGiveBack(item, attempt).catch(() => false)) return undefined;
      const source = sourceOf(item);
      noteMade(source);
      const timer = setInterval(() => void take(source).catch(() => {}), renewal);
      return { [Symbol.dispose]: () => clearInterval(timer) };
    },
  };
}
