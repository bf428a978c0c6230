import { availableParallelism } from 'node:os';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { raceAbort } from '../runtime/abort.ts';
import { createSemaphore } from '../runtime/semaphore.ts';
import { createSmallestFirst } from '../runtime/smallestfirst.ts';
import { rebuildImage } from '../site/rebuild.ts';
import type { Context } from './context.ts';
import { rebuildSink } from './rebuildsink.ts';
import type { HeldManifest } from './records.ts';
import type { Place } from './upstream.ts';
import type { PatchWay } from './way.ts';

/** Rebuilds at a time: each takes the memory and the processor time of a decoder. */
const MAX_REBUILDS = 2;
/** Layers that are compressed at a time: one a core, as far as the memory of a small machine goes. */
const MAX_COMPRESSORS = 4;
/** Time without a byte of a patch after which its blobs come from the upstream, in milliseconds. */
const STALL_TIME = 15_000;

export interface Rebuilds {
  /**
   * Rebuilds an image's blobs into the cache. From the call on, readers of these blobs wait for them; blobs that
   * cannot be made come from the upstream. Never rejects.
   */
  run(place: Place, manifest: HeldManifest, way: PatchWay): Promise<void>;
}

export function createRebuilds(context: Context): Rebuilds {
  const { cache, totals, registries, log, stallTime = STALL_TIME } = context;
  const slots = createSemaphore(MAX_REBUILDS);
  const compressors = createSmallestFirst(Math.min(availableParallelism(), MAX_COMPRESSORS));

  return {
    async run(place, manifest, { answer, residents, origin, size }) {
      const { digest } = manifest;
      const name = `${place.repository}@${digest}`;
      const expectation = cache.expect(manifest.blobs.map((blob) => blob.digest));
      const started = performance.now();
      const stop = new AbortController();
      const signal = AbortSignal.any([context.signal, stop.signal]);
      const received = () => (origin === 'the store' ? totals.storeBytes : totals.upstreamBytes);
      const stall = watchStall(received, stallTime, () => stop.abort(stalled(origin, stallTime)));
      const sink = rebuildSink({
        cache,
        compressors,
        signal: context.signal,
        openBlob: (blob, start) => registries.openBlob(place, blob, start),
        onBegin: (omitted) => expectation.drop(omitted),
        onLayer: (bytes) => void (totals.rebuiltBytes += bytes),
      });
      try {
        using _ = await slots.reserve(1, signal);
        const task = {
          answer,
          residents,
          label: origin,
          onPlan: stall.begin,
          isEarly: true,
          onFetched: stall.end,
        };
        const { plan, reasons } = await raceAbort(rebuildImage(task, sink, { ...context, signal }), signal);
        const seconds = (performance.now() - started) / 1000;
        totals.rebuildSeconds += seconds;
        totals.patchBytes += plan?.size ?? 0;
        if (plan) log.info({ name, patch: plan.size, source: plan.source, seconds }, 'image rebuilt');
        else log.warn({ name, patch: size, reasons }, 'no patch works, the rest passes through');
      } catch (error) {
        if (!context.signal.aborted) {
          log.warn(
            { name, reason: toPanamaxError(error).message },
            'rebuild failed, the rest passes through',
          );
        }
      } finally {
        stall.end();
        expectation.drop();
      }
    },
  };
}

/** Calls `onStall` if a count of bytes does not grow for a time between `begin` and `end`. */
function watchStall(count: () => number, time: number, onStall: () => void) {
  let timer: NodeJS.Timeout | undefined;
  let last = 0;
  let grown = 0;
  const look = () => {
    const now = performance.now();
    if (count() !== last) grown = now;
    else if (now - grown >= time) {
      end();
      onStall();
    }
    last = count();
  };
  const end = () => clearInterval(timer);
  const begin = () => {
    end();
    last = count();
    grown = performance.now();
    timer = setInterval(look, time / 15);
  };
  return { begin, end };
}

function stalled(where: string, time: number): PanamaxError {
  return new PanamaxError('io', `no byte of the patch in ${time / 1000} s`, { where });
}
