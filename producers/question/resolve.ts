import { stat } from 'node:fs/promises';
import type { Limits } from '../../lib/limits.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { runPool } from '../../lib/runtime/pool.ts';
import { toPanamaxError } from '../../lib/errors.ts';

/** Concurrent requests. */
const LOOKS = 16;

export interface LookOptions {
  readonly platform?: Platform;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/**
 * Checks that images exist and may be read from here, so that a mistyped name is an error before it is queued. Reads
 * manifests only; of archives only that the file exists. Images in engines are not looked at.
 *
 * @throws PanamaxError the first error, in the order of the references
 */
export async function checkReadable(references: readonly string[], options: LookOptions): Promise<void> {
  const looks = await runPool(references, LOOKS, (text) => look(text, options), options.signal);
  options.signal.throwIfAborted();
  const refused = looks.find((result) => result.status === 'rejected');
  if (refused) throw refused.reason;
}

/** The images that exist and may be read from here. */
export async function findReadable(references: readonly string[], options: LookOptions): Promise<string[]> {
  const looks = await runPool(references, LOOKS, (text) => look(text, options), options.signal);
  options.signal.throwIfAborted();
  return references.filter((_, i) => looks[i]?.status === 'fulfilled');
}

async function look(text: string, { platform, limits, signal }: LookOptions): Promise<void> {
  const reference = await parseReference(text);
  if (isEngineTransport(reference.transport)) return;
  if (reference.transport === 'oci' || reference.transport === 'docker') {
    await openImage(reference, { limits, signal, ...(platform && { platform }) });
    return;
  }
  await stat(reference.path).catch((error: unknown) => {
    throw toPanamaxError(error, text);
  });
}
