import type { Digest } from '../../lib/digest.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import type { Image } from '../../lib/image/open.ts';
import { formatPlatform } from '../../lib/image/oci/platform.ts';
import { releaseNameOf } from '../../lib/image/oci/releasename.ts';
import { pushName } from '../../lib/store/beside/names.ts';
import type { StageContext } from '../context.ts';
import { keys } from '../../lib/store/keys.ts';
import { readName, type NameRecord } from '../../lib/store/name.ts';
import { publishName } from './name.ts';
import { openBeside, publishStored, type PublishedPatch } from './beside.ts';

export interface Published {
  readonly reference: string;
  readonly target: Digest;
  readonly patches: readonly PublishedPatch[];
  /** What says there what the tag stands for: the digest of its manifest. */
  readonly name?: Digest;
}

/**
 * Puts the patches that the store has to an image of a registry beside it there. What is there stays; a second time
 * changes nothing.
 *
 * @throws PanamaxError `usage` for another kind of reference, `bad-input` for damaged patches, `io`
 */
export async function publish(
  image: { readonly reference: string; readonly platform?: Platform },
  context: StageContext,
): Promise<Published> {
  const { reference } = image;
  const beside = await openBeside(image, context);
  const target = beside.subject.digest;
  const patches: PublishedPatch[] = [];
  for await (const key of context.store.list(keys.patches(target))) {
    const published = key.endsWith('.json') && (await publishStored(beside, key, context));
    if (published) patches.push(published);
  }
  const record = await nameOf(reference, beside.image, context);
  const name = record && (await pushName(beside.repository, beside.subject, record));
  return { reference, target, patches, ...(name && { name }) };
}

/** What the store says that the reference's tag stands for, if that is this image; signed where there is a key. */
async function nameOf(
  reference: string,
  { manifestDigest: manifest, platform }: Image,
  context: StageContext,
): Promise<NameRecord | undefined> {
  const name = releaseNameOf(reference);
  if (!name) return undefined;
  if (context.sign) return publishName({ name, manifest }, context);
  const record = await readName(context.store, name, formatPlatform(platform));
  return record?.target.manifest === manifest ? record : undefined;
}
