import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { fittingEntries } from '../image/oci/indexentries.ts';
import { parseIndex } from '../image/oci/manifest.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import type { Mirror, Reference } from './mirror.ts';
import type { HeldManifest } from './records.ts';
import { chooseUpstream, type Place } from './upstream.ts';
import { isOpen, type Window } from './window.ts';

/** Time between two looks at the names, in milliseconds. */
const LOOK_EVERY = 5 * 60_000;

/**
 * Brings the images of the names in a file to the mirror, now and every five minutes, so that they are there before an engine
 * asks. One name on each line; empty lines and those that begin with # are skipped. The file is read each time.
 *
 * @param window outside of it nothing is brought
 */
export function follow(mirror: Mirror, file: string, window: Window | undefined): Disposable {
  const { log, signal } = mirror.context;
  let isBusy = false;
  const look = async () => {
    if (isBusy || (window && !isOpen(window, new Date()))) return;
    isBusy = true;
    try {
      const lines = (await readFile(file, 'utf8')).split(/\r?\n/).map((line) => line.trim());
      for (const name of lines.filter((line) => line !== '' && !line.startsWith('#'))) {
        if (window && !isOpen(window, new Date())) break;
        await bringImage(mirror, name).catch((error: unknown) => {
          signal.throwIfAborted();
          log.warn({ name, reason: toPanamaxError(error).message }, 'a followed image does not come');
        });
      }
    } finally {
      isBusy = false;
    }
  };
  const run = () =>
    void look().catch((error: unknown) => {
      if (!signal.aborted)
        log.warn({ file, reason: toPanamaxError(error).message }, 'names cannot be followed');
    });
  run();
  const timer = setInterval(run, LOOK_EVERY).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Reads an image with all blobs. @returns its manifest. @throws PanamaxError, Refusal */
export async function bringImage(mirror: Mirror, name: string): Promise<HeldManifest> {
  const { upstreams } = mirror.context;
  const { repository, tag, digest } = parseReleaseName(name);
  const place = chooseUpstream(upstreams, undefined, undefined, repository);
  if (!place) throw new PanamaxError('usage', 'not an image of an upstream', { found: name });
  const manifest = await imageOf(mirror, place, digest ? { digest } : { tag: tag! });
  for (const blob of manifest.blobs) {
    if (mirror.context.cache.held.has(blob.digest)) continue;
    for await (const _ of mirror.readBlob(place, blob, 0));
  }
  return manifest;
}

/** The manifest, or that of the mirror's platform in an index. */
async function imageOf(mirror: Mirror, place: Place, reference: Reference): Promise<HeldManifest> {
  const { limits, platform } = mirror.context;
  const found = await mirror.getManifest(place, reference);
  if (found.children.length === 0) return found;
  const documents = {
    where: place.repository,
    read: async ({ digest, size }: { readonly digest: HeldManifest['digest']; readonly size: number }) =>
      found.children.includes(digest)
        ? (await mirror.findManifest(place, { digest })).bytes
        : buffer(mirror.readBlob(place, { digest, size }, 0)),
  };
  const options = { limits, ...(platform && { platform }) };
  const [fit] = await fittingEntries(documents, parseIndex(found.bytes, found.digest), found.digest, options);
  return mirror.getManifest(place, { digest: fit!.descriptor().digest });
}
