import { join } from 'node:path';
import type { Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { countBytes } from '../site/offers/counted.ts';
import type { StoreReader } from '../store/objects/store.ts';
import { openBlobCache, type Blob } from './blobcache.ts';
import type { Context, MirrorOptions } from './context.ts';
import { createHeldImages, isWhole } from './heldimages.ts';
import { openLink, type Link } from './link.ts';
import { createPatience } from './patience.ts';
import { Refusal } from './refusal.ts';
import { createRebuilds } from './rebuilds.ts';
import { openRecords, type HeldManifest } from './records.ts';
import { openRegistries } from './registries.ts';
import { findManifest, resolveTag } from './resolve.ts';
import { createTotals } from './totals.ts';
import type { Place } from './upstream.ts';
import { chooseWay, type Way } from './way.ts';

/**
 * A mirror of registries at a site. Images come by patches from what the mirror holds, other blobs from the upstream.
 *
 *     request for a manifest ─► tag to digest ─► bytes of the manifest ─► the way of its blobs ─► answer
 *                               (resolve.ts)     (resolve.ts)            (way.ts)
 *                                                                           └─► rebuild in the background (rebuilds.ts)
 *     request for a blob ─► held, growing, or expected from a rebuild (blobcache.ts), else fetched from the upstream
 */
export interface Mirror {
  readonly context: Context;
  /** Finds a manifest and decides how its blobs come. @throws PanamaxError, Refusal */
  getManifest(place: Place, reference: Reference): Promise<HeldManifest>;
  /** Finds a manifest only. @throws PanamaxError, Refusal */
  findManifest(place: Place, reference: Reference): Promise<HeldManifest>;
  /** Finds the size of a blob. @throws PanamaxError `not-found`, `io` */
  findBlob(place: Place, digest: Digest): Promise<Blob>;
  /** Reads a blob from an offset, while it arrives. Ends early or fails before the last byte if the blob is not proven. */
  readBlob(place: Place, blob: Blob, start: number): AsyncIterable<Uint8Array>;
  /** Whether the blobs of a manifest are being brought. */
  isComing(manifest: Digest): boolean;
}

/** Enough for links on land, in milliseconds. */
const ANSWER_TIME = 3000;

export type Reference = { readonly tag: string } | { readonly digest: Digest };

export async function openMirror(options: MirrorOptions): Promise<Mirror> {
  const context = await openContext(options);
  const { cache, records, registries, totals, limits } = context;
  const held = createHeldImages(context);
  const rebuilds = createRebuilds(context);
  /** Choices and rebuilds in progress, by manifest. */
  const coming = new Map<Digest, Promise<Way>>();

  const find = (place: Place, reference: Reference) =>
    'tag' in reference
      ? resolveTag(place, reference.tag, context)
      : findManifest(place, reference.digest, context);

  /** Decides how the blobs of a manifest come, once for all who ask at a time, and starts the rebuild. */
  function bring(place: Place, manifest: HeldManifest): Promise<Way> {
    const { digest } = manifest;
    const known = coming.get(digest);
    if (known) return known;
    const choice = chooseWay(place, manifest, () => held.list(), context);
    coming.set(digest, choice);
    // runs before the callers go on, so that they find the blobs expected
    const begun = choice.then((way) => {
      report(place, manifest, way, context);
      return way.kind === 'patch' ? rebuilds.run(place, manifest, way) : undefined;
    });
    begun.finally(() => coming.delete(digest)).catch(() => {});
    return choice;
  }

  return {
    context,
    isComing: (manifest) => coming.has(manifest),
    async findManifest(place, reference) {
      const manifest = await find(place, reference);
      records.touch(manifest.digest);
      return manifest;
    },

    async getManifest(place, reference) {
      const manifest = await find(place, reference);
      records.touch(manifest.digest);
      if (manifest.blobs.length === 0) return manifest;
      if (context.link.isUsedUp && !isWhole(manifest, cache)) {
        const { host } = place.upstream;
        throw new Refusal(
          429,
          'TOOMANYREQUESTS',
          `the byte budget of this month is used up; ${host} is not asked`,
        );
      }
      const way = await bring(place, manifest);
      if (way.kind !== 'refused') return manifest;
      // the store or the registry may answer the next time
      const isPassing = way.reason === 'late' || way.reason === 'failed';
      const [status, code] = isPassing ? ([503, 'UNAVAILABLE'] as const) : ([403, 'DENIED'] as const);
      throw new Refusal(status, code, `whole images over --max-pass are not brought: ${way.detail}`);
    },

    async findBlob(place, digest) {
      const known = cache.held.get(digest) ?? records.findBlob(digest)?.size;
      const size = known ?? (await registries.blobSize(place, digest));
      if (size <= limits.maxImageSize) return { digest, size };
      throw new PanamaxError('limit', 'blob is over maxImageSize', {
        expected: `at most ${limits.maxImageSize} bytes`,
        found: size,
        where: digest,
      });
    },

    async *readBlob(place, blob, start) {
      const fetch = (from = 0) => registries.openBlob(place, blob, from);
      let at = start;
      try {
        for await (const piece of cache.read(blob, start, fetch)) {
          at += piece.length;
          totals.servedBytes += piece.length;
          yield piece;
        }
        return;
      } catch (error) {
        if (!isDiskFailure(error)) throw error;
        context.log.warn({ digest: blob.digest, reason: toPanamaxError(error).message }, 'blob is not kept');
      }
      yield* fetch(at);
    },
  };
}

async function openContext(options: MirrorOptions): Promise<Context> {
  const { state, limits, maxPass, log, signal, openStore, answerTime = ANSWER_TIME } = options;
  const totals = createTotals();
  const ask = createPatience(answerTime, signal);
  const cache = await openBlobCache(join(state, 'blobs'), ({ kind, message }) =>
    log.warn({ kind, error: message }, 'a blob of the cache cannot be read'),
  );
  const records = await openRecords(state, cache);
  const onBytes = (count: number) => void (totals.upstreamBytes += count);
  const link = await openLink(state, options.link ?? {});
  const registries = openRegistries({ limits, maxPass, signal, ask, link, onBytes });
  const onStoreBytes = (count: number) => void (totals.storeBytes += count);
  const { trust, ...rest } = options;
  return {
    ...rest,
    ...trust,
    openStore: openStore && (async () => limited(countBytes(await openStore(), onStoreBytes), link)),
    cache,
    records,
    registries,
    answerTime,
    ask,
    link,
    totals,
  };
}

/** A store whose objects come at the link's rate; documents are not limited. */
function limited(reader: StoreReader, link: Link): StoreReader {
  return { ...reader, open: async (key, offset) => link.limit(await reader.open(key, offset)) };
}

/** Whether the state's disk failed, not the source of the bytes. */
function isDiskFailure(error: unknown): boolean {
  return !(error instanceof PanamaxError) && toPanamaxError(error).kind === 'io';
}

function report({ repository }: Place, { digest, blobs }: HeldManifest, way: Way, context: Context): void {
  const { totals, log } = context;
  const label = 'reason' in way ? `${way.kind}: ${way.reason}` : way.kind;
  totals.images.set(label, (totals.images.get(label) ?? 0) + 1);
  const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const facts =
    way.kind === 'patch'
      ? { patch: way.size }
      : 'reason' in way
        ? { reason: way.reason, detail: way.detail }
        : {};
  log.info({ name: `${repository}@${digest}`, way: way.kind, bytes, ...facts }, 'image asked for');
}
