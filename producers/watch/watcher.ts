import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import { formatRegistryName } from '../../lib/image/oci/registryname.ts';
import { listRepositories } from '../../lib/image/registry/catalog.ts';
import { retrying } from '../../lib/runtime/http/retry.ts';
import { createSemaphore, type Semaphore } from '../../lib/runtime/semaphore.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { globOf } from '../question/expand.ts';
import { lookAt, lookAtPush, type Look } from './look.ts';
import { isCatalogNoted, noteCatalog } from './note.ts';
import type { Notice } from './notification.ts';
import { queuePush, type QueueOptions } from './queue.ts';
import { formatWatched, repositoriesOf, type Repository, type Watched } from './watched.ts';

/** Pushes that wait to be looked at. */
const MAX_WAITING = 10_000;
/** Pushes that are looked at at a time. */
const WORKERS = 4;
const ATTEMPTS = { attempts: 5, delay: 500 } as const;

export interface WatcherOptions extends QueueOptions {
  readonly watched: readonly Watched[];
  /** Pattern of tags; by default all. */
  readonly tags?: string;
  readonly print: (line: string) => void;
  readonly warn: (line: string) => void;
}

export interface Watcher {
  /**
   * Looks at all watched repositories, and queues the images that were pushed since the last look.
   *
   * @param isStrict ends with the first error instead of a warning
   */
  look(isStrict?: boolean): Promise<void>;
  /**
   * Takes pushes that registries have told of; each is looked at and queued once, soon. Those of repositories and tags
   * that are not watched are left out.
   *
   * @returns how many are taken; undefined if too many are waiting
   * @throws PanamaxError `usage` for an invalid name
   */
  take(notices: readonly Notice[]): number | undefined;
  /** Begins to look at the pushes that are taken: after the first look, which notes the images that are there. */
  begin(): void;
  /** Resolves when nothing is under way any more. Call it when the signal has aborted. */
  idle(): Promise<void>;
}

export function createWatcher(store: Store, options: WatcherOptions): Watcher {
  const { watched, tags, limits, signal, print, warn } = options;
  const choice = { limits, signal, ...(tags !== undefined && { tags }) };
  const isChosen = globOf(tags ?? '*');
  /** Notes are read and written by one look at a time. */
  const locks = new Map<string, Semaphore>();
  const waiting = new Map<string, () => Promise<void>>();
  const running = new Set<Promise<void>>();
  let hasBegun = false;

  async function locked(name: Repository, action: () => Promise<void>): Promise<void> {
    const path = formatRegistryName(name);
    const lock = locks.get(path) ?? createSemaphore(1);
    locks.set(path, lock);
    using _ = await lock.reserve(1, signal);
    await action();
  }

  async function queueAll(name: Repository, { pushed, others, tags: count, remember }: Look): Promise<void> {
    if (!pushed) print(`${formatWatched(name)}: ${count} tags are known, later pushes are queued`);
    for (const push of pushed ?? []) {
      const run = await queuePush(push, store, options);
      print(`${push.reference}: queued as run ${run}`);
    }
    for (const reference of others) print(`${reference}: no image, passed over`);
    await remember();
  }

  const lookAtOne = (name: Repository, isNew: boolean) =>
    locked(name, async () => queueAll(name, await lookAt(name, store, choice, isNew)));

  async function lookAtCatalog(registry: string): Promise<void> {
    const isNoted = await isCatalogNoted(registry, store);
    for await (const repository of listRepositories(registry, choice)) {
      // a repository that is gone, or refused, does not hide the others
      await tolerant(`docker://${registry}/${repository}`, async () => {
        const [name] = repositoriesOf({ repository } as Notice, [{ registry }]);
        await lookAtOne(name!, isNoted);
      });
    }
    if (!isNoted) await noteCatalog(registry, store);
  }

  async function tolerant(place: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      signal.throwIfAborted();
      warn(`${place}: ${toPanamaxError(error).message}`);
    }
  }

  function work(): void {
    if (!hasBegun || running.size >= WORKERS) return;
    const [first] = waiting;
    if (!first || signal.aborted) return;
    const [key, action] = first;
    waiting.delete(key);
    const done = lookNext(key, action);
    running.add(done);
    void done.finally(() => running.delete(done));
    work();
  }

  async function lookNext(key: string, action: () => Promise<void>): Promise<void> {
    const policy = { ...ATTEMPTS, isTransient, signal };
    try {
      await tolerant(key, () => retrying(policy, action));
    } catch {
      // stopped: the next start looks at everything
    }
    // after this one has left
    setImmediate(work);
  }

  return {
    async look(isStrict = false) {
      for (const one of watched) {
        const { registry, repository } = one;
        const look = () =>
          repository === undefined ? lookAtCatalog(registry) : lookAtOne({ registry, repository }, false);
        await (isStrict ? look() : tolerant(formatWatched(one), look));
      }
    },
    take(notices) {
      if (waiting.size + notices.length > MAX_WAITING) return undefined;
      let count = 0;
      for (const notice of notices.filter(({ tag }) => isChosen.test(tag))) {
        for (const name of repositoriesOf(notice, watched)) {
          const { tag, digest } = notice;
          const look = async () => queueAll(name, await lookAtPush(name, notice, store, choice));
          waiting.set(`docker://${formatRegistryName({ ...name, tag, digest })}`, () => locked(name, look));
          count++;
        }
      }
      work();
      return count;
    },
    begin() {
      hasBegun = true;
      work();
    },
    async idle() {
      await Promise.all(running);
    },
  };
}

/** Servers may answer at the next attempt. */
function isTransient(error: unknown): boolean {
  return error instanceof PanamaxError && error.kind === 'io' && !error.facts.isFinal;
}
