import type { Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import type { ReleaseName } from '../image/oci/releasename.ts';
import type { FoundManifest } from '../image/registry/registry.ts';
import type { Answer, Origin } from '../site/offers/origin.ts';
import { registryOrigin } from '../site/offers/registryorigin.ts';
import { storeOrigin } from '../site/offers/storeorigin.ts';
import { readIndex } from '../store/targetindex.ts';
import type { Context } from './context.ts';
import type { HeldManifest } from './records.ts';
import { isUnknown, Refusal } from './refusal.ts';
import type { Place } from './upstream.ts';

/** The store, then the registry: each can tell the image of a name and the patches to it. */
export function originsOf(name: ReleaseName, place: Place, context: Context): Origin[] {
  const { platform, openStore, registries, ask } = context;
  const request = { name, ...(platform && { platform }) };
  const options = { ...context, keepsNames: true };
  const registry = registryOrigin(request, options, registries.open(place));
  const patient = (origin: Origin, server: string): Origin => ({
    label: origin.label,
    ask: (question) => ask(server, () => origin.ask(question)),
  });
  return [
    ...(openStore ? [patient(storeOrigin(request, options, openStore), 'the store')] : []),
    patient(registry, place.upstream.host),
  ];
}

/**
 * Finds the manifest of a tag. With a key: what a signed record says, else the last accepted one. Without a key: what
 * the upstream says, else what a record of the store says, else the last accepted one.
 *
 * @throws Refusal, PanamaxError of the upstream if the tag was never resolved before
 */
export async function resolveTag(place: Place, tag: string, context: Context): Promise<HeldManifest> {
  const { verify, registries, records, log } = context;
  const name = `${place.repository}:${tag}`;
  const fromUpstream = async () => {
    const found = await registries.getManifest(place, tag);
    return records.addManifest(found, place.repository);
  };
  const fromRecords = async () => {
    const answer = await askForName({ repository: place.repository, tag }, place, context);
    return findManifest(place, answer.target.manifest, context);
  };
  const failures: unknown[] = [];
  for (const find of verify ? [fromRecords] : [fromUpstream, fromRecords]) {
    try {
      const found = await find();
      await records.setTag(name, { digest: found.digest, isSigned: verify !== undefined });
      return found;
    } catch (error) {
      context.signal.throwIfAborted();
      failures.push(error);
      if (!verify && isUnknown(error) && find === fromUpstream) break;
    }
  }
  const last = records.tags.get(name);
  // a tag that was accepted without a key may be unsigned
  const isTrusted = last && (last.isSigned || !verify);
  const held = isTrusted ? records.manifests.get(last.digest) : undefined;
  const failure = toPanamaxError(failures[0]);
  // an expired record shows that the mirror is held back, or that nobody renews the name
  if (!held || failure.kind === 'expired' || (!verify && isUnknown(failure))) throw failure;
  log.warn({ name, digest: held.digest, reason: failure.message }, 'the last accepted image is served');
  return held;
}

/** @throws PanamaxError `untrusted`; `not-found` if no record names the image; the errors of origins */
async function askForName(name: ReleaseName, place: Place, context: Context): Promise<Answer> {
  const failures: unknown[] = [];
  for (const origin of originsOf(name, place, context)) {
    // without a key the registry's answer is the tag itself, which has been asked for
    if (!context.verify && origin.label === 'the registry') continue;
    try {
      const answer = await origin.ask({ residents: [] });
      if (typeof answer !== 'string') return answer;
      failures.push(new PanamaxError('not-found', answer));
    } catch (error) {
      context.signal.throwIfAborted();
      failures.push(error);
    }
  }
  throw (
    failures.find((error) => !isUnknown(error)) ?? failures[0] ?? new Refusal(404, 'MANIFEST_UNKNOWN', '')
  );
}

/**
 * Finds a manifest or an index by its digest: what is held, else the store's index of the image, else the upstream's.
 *
 * @throws PanamaxError of the upstream
 */
export async function findManifest(place: Place, digest: Digest, context: Context): Promise<HeldManifest> {
  const { records, registries } = context;
  const held = records.manifests.get(digest);
  if (held) return held;
  const stored = await storedManifest(digest, context).catch((error: unknown) => {
    context.signal.throwIfAborted();
    context.log.warn({ digest, reason: toPanamaxError(error).message }, 'the store does not tell a manifest');
    return undefined;
  });
  const found = stored ?? (await registries.getManifest(place, digest));
  return records.addManifest(found, place.repository);
}

/** The manifest in the store's index of an image, whose digest has been compared. */
async function storedManifest(
  digest: Digest,
  { openStore, ask, limits }: Context,
): Promise<FoundManifest | undefined> {
  if (!openStore) return undefined;
  const index = await ask('the store', async () => readIndex(await openStore(), digest));
  if (!index) return undefined;
  const bytes = Buffer.from(index.target.manifestDocument);
  return { digest, bytes, mediaType: parseManifest(bytes, limits, digest).mediaType };
}
