import type { Digest } from '../../lib/digest.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import type { Image } from '../../lib/image/open.ts';
import { formatPlatform } from '../../lib/image/oci/platform.ts';
import { pinnedReference } from '../../lib/image/oci/registryname.ts';
import { releaseNameOf } from '../../lib/image/oci/releasename.ts';
import { pushName } from '../../lib/store/beside/names.ts';
import type { FormatName } from '../../lib/delta/format.ts';
import type { StageContext } from '../context.ts';
import { deltaStage } from '../delta/stage.ts';
import { signatureStage } from '../signature/stage.ts';
import { keys } from '../../lib/store/keys.ts';
import { readName, type NameRecord } from '../../lib/store/name.ts';
import { publishName } from './name.ts';
import { openBeside, publishStored, type PublishedPatch } from './beside.ts';

/** The format whose patches from an image to itself are smallest. */
const RECIPE_FORMAT: FormatName = 'panamax';

export interface Published {
  readonly reference: string;
  readonly target: Digest;
  readonly patches: readonly PublishedPatch[];
  /** Digest of the manifest of the published name record. */
  readonly name?: Digest;
}

/**
 * Publishes the store's patches to an image of a registry beside it. Existing artifacts are kept, so a second call changes
 * nothing.
 *
 * @throws PanamaxError `usage` if the image is not in a registry, `bad-input` for damaged patches, `io`
 */
export async function publish(
  image: {
    readonly reference: string;
    readonly platform?: Platform;
    /** Makes a patch from the image to itself, too, unless the store has it. */
    readonly hasRecipes?: boolean;
  },
  context: StageContext,
): Promise<Published> {
  const { reference, hasRecipes = false } = image;
  const beside = await openBeside(image, context);
  const target = beside.subject.digest;
  if (hasRecipes) await makeRecipes(pinnedReference(reference, target) ?? reference, target, context);
  const patches: PublishedPatch[] = [];
  for await (const key of context.store.list(keys.patches(target))) {
    const published = key.endsWith('.json') && (await publishStored(beside, key, context));
    if (published) patches.push(published);
  }
  const record = await nameOf(reference, beside.image, context);
  const name = record && (await pushName(beside.repository, beside.subject, record));
  return { reference, target, patches, ...(name && { name }) };
}

/**
 * Makes the patch from an image to itself. It holds how the layers were compressed, and nothing else: whoever has the
 * layers in another compression makes the image from it.
 */
async function makeRecipes(reference: string, manifest: Digest, context: StageContext): Promise<void> {
  await signatureStage({ reference }, context);
  const image = { reference, manifest };
  await deltaStage(
    { sources: [image], target: image, formats: [RECIPE_FORMAT], effort: 'fast', predictedPatchSize: 0 },
    context,
  );
}

/** The name record of the reference's tag, if it names this image; signed if there is a key. */
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
