import { randomUUID } from 'node:crypto';
import type { Leases } from '../lib/queue/lease.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { JobAttempt } from '../lib/queue/worker.ts';
import { imagesOfPair } from '../lib/run/request.ts';
import { bandOf, numberOfPair } from './schedule.ts';

/**
 * Brings pairs to the worker that has unpacked their images. A worker claims both images of each pair that it makes. It
 * gives a pair back of which another worker claims an image, if there is a choice: a pair of the same priority that suits
 * it better. It moves that one to the front of the queue. Claims are leases: they end a while after the last pair. They
 * save work; correctness does not rest on them.
 */
export interface Affinity {
  /**
   * Claims the images of a pair, until the result is disposed of and a while longer.
   *
   * @returns undefined if the pair is to be given back: another one is first in the queue now
   */
  claim(item: string, attempt: Attempt): Promise<Disposable | undefined>;
}

type Attempt = Pick<JobAttempt, 'id' | 'priority' | 'starts'>;

/** Jobs that are looked at for a better one, and those of them that are tried. */
const LOOKED_AT = 200;
const TRIED = 4;
/** Images that are likely to be on scratch still. */
const MOST_KEPT = 16;
/** A job that has been given back so often is made by any worker. */
const MOST_STARTS = 20;
/** Points of a pair for an image that this worker has used, and for one that no worker claims. */
const HELD = 2;
const FREE = 1;

const nameOf = (image: string) => `image.${image}`;

/** @param renewal interval at which a claim is renewed, in milliseconds */
export function createAffinity(queues: Queues, leases: Leases, renewal: number): Affinity {
  const owner = randomUUID();
  /** Images of the last pairs of this worker, least recently used first. */
  const held = new Set<string>();
  const take = (image: string) => leases.take(nameOf(image), owner);

  /** Claims the images of a pair. @returns those that no other worker claims */
  async function takeAll(images: readonly string[]): Promise<ReadonlySet<string>> {
    const taken = await Promise.all(images.map(take));
    return new Set(images.filter((_, i) => taken[i]));
  }

  async function leave(images: Iterable<string>): Promise<void> {
    for (const image of images) if (!held.has(image)) await leases.release(nameOf(image), owner);
  }

  const suitability = (images: readonly string[], isFree: (image: string) => boolean) =>
    images.reduce((sum, image) => sum + (held.has(image) ? HELD : isFree(image) ? FREE : 0), 0);

  /** A job of the same band that suits this worker better, and whose images it has claimed. */
  async function findBetter(priority: number, least: number): Promise<string | undefined> {
    const jobs = (await queues.waiting('delta', bandOf(priority), LOOKED_AT)).map((id) => ({
      id,
      images: imagesOfPair(id.slice(id.lastIndexOf('.') + 1)),
    }));
    const images = [...new Set(jobs.flatMap((job) => job.images))];
    const owners = await leases.owners(images.map(nameOf));
    const free = new Set(images.filter((_, i) => owners[i] === undefined || owners[i] === owner));
    const better = jobs
      .map((job) => ({ ...job, suits: suitability(job.images, (image) => free.has(image)) }))
      .filter(({ suits }) => suits > least)
      .toSorted((a, b) => b.suits - a.suits);
    for (const { id, images, suits } of better.slice(0, TRIED)) {
      const taken = await takeAll(images);
      if (suitability(images, (image) => taken.has(image)) === suits) return id;
      // another worker was faster
      await leave(taken);
    }
    return undefined;
  }

  async function isToGiveBack(item: string, { id, priority, starts }: Attempt): Promise<boolean> {
    const images = imagesOfPair(item);
    const taken = await takeAll(images);
    if (images.every((image) => taken.has(image) || held.has(image)) || starts > MOST_STARTS) return false;
    const other = await findBetter(
      priority,
      suitability(images, (image) => taken.has(image)),
    );
    if (other === undefined) return false;
    await leave(taken);
    const { first } = bandOf(priority);
    // it may have been asked for by another worker
    if (priority === first) await queues.changePriority('delta', id, numberOfPair(item, first));
    await queues.changePriority('delta', other, first);
    return true;
  }

  function noteHeld(images: readonly string[]): void {
    for (const image of images) {
      held.delete(image);
      held.add(image);
      if (held.size > MOST_KEPT) held.delete(held.values().next().value!);
    }
  }

  return {
    async claim(item, attempt) {
      // without Redis the pair is made where it is
      if (await isToGiveBack(item, attempt).catch(() => false)) return undefined;
      const images = imagesOfPair(item);
      noteHeld(images);
      const timer = setInterval(() => void takeAll(images).catch(() => {}), renewal);
      return { [Symbol.dispose]: () => clearInterval(timer) };
    },
  };
}
