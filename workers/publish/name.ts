import type { Digest } from '../../lib/digest.ts';
import { imageIdentity } from '../../lib/store/descriptor.ts';
import { toPanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { releaseNameOf, type ReleaseName } from '../../lib/image/oci/releasename.ts';
import type { StageContext } from '../context.ts';
import type { NameRecord } from '../../lib/store/name.ts';
import { writeName } from '../../lib/store/naming.ts';
import { loadImage } from '../signature/load.ts';

export interface NameInput {
  readonly name: ReleaseName;
  readonly manifest: Digest;
  /** See `NameSettings`. */
  readonly resetSequence?: boolean;
}

/** Records the image that a name stands for. Its patches must have been published before. @throws PanamaxError `not-found` */
export async function publishName(
  { name, manifest, resetSequence = false }: NameInput,
  context: Pick<StageContext, 'store' | 'sign'>,
): Promise<NameRecord> {
  const image = await loadImage(context.store, manifest);
  return writeName(context.store, name, image.platform, imageIdentity(image), {
    sign: context.sign,
    resetSequence,
  });
}

/** Errors of one name that do not keep the others, and the run's report, from being written. */
const OF_ONE_NAME: readonly ErrorKind[] = ['untrusted', 'usage', 'not-found', 'bad-input'];

/**
 * Publishes the names of all references that have one and whose image was read. A name that is refused, or whose image
 * has no sound signature any more, is logged.
 */
export async function publishNames(
  references: readonly string[],
  manifests: { get(reference: string): Digest | undefined },
  context: Pick<StageContext, 'store' | 'sign' | 'log'>,
): Promise<void> {
  for (const reference of references) {
    const name = releaseNameOf(reference);
    const manifest = manifests.get(reference);
    if (!name || !manifest) continue;
    try {
      await publishName({ name, manifest }, context);
    } catch (error) {
      const { kind, message } = toPanamaxError(error);
      if (!OF_ONE_NAME.includes(kind)) throw error;
      context.log.warn({ kind, error: message, reference }, 'the name could not be published');
    }
  }
}
