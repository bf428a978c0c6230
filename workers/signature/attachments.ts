import { toPanamaxError } from '../../lib/errors.ts';
import type { Reference } from '../../lib/image/oci/reference.ts';
import type { Image } from '../../lib/image/open.ts';
import { keepAttachments } from '../../lib/store/attached/attachments.ts';
import { collectAttachments } from '../../lib/store/attached/collect.ts';
import { findArtifactSource } from '../../lib/store/attached/sources.ts';
import type { StageContext } from '../context.ts';

/**
 * Stores the signatures and other artifacts beside an image, so that sites have them with its patches. They may be added
 * after the image, so they are looked up each time. A registry that does not list them does not keep the image out.
 */
export async function storeAttachments(
  image: Image,
  reference: Reference,
  { store, limits, signal, log }: Pick<StageContext, 'store' | 'limits' | 'signal' | 'log'>,
): Promise<void> {
  const found = await findAttachments(image, reference, { limits, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    const { kind, message } = toPanamaxError(error);
    log.warn({ kind, error: message, image: image.reference }, 'the artifacts of an image could not be read');
    return undefined;
  });
  if (!found) return;
  for (const { digest, why } of found.left) {
    log.warn({ image: image.reference, artifact: digest, error: why }, 'an artifact is not carried');
  }
  await keepAttachments(store, found);
}

async function findAttachments(
  image: Image,
  reference: Reference,
  options: Pick<StageContext, 'limits' | 'signal'>,
) {
  const place = await findArtifactSource(reference, options);
  return place && collectAttachments(place.source, image, place.reference);
}
