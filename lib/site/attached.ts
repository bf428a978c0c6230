import { PanamaxError, toPanamaxError } from '../errors.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { formatReleaseName, type ReleaseName } from '../image/oci/releasename.ts';
import type { Limits } from '../limits.ts';
import type { Attachments } from '../store/attached/attachments.ts';
import type { VerifyCosign } from '../store/attached/cosign.ts';
import { writeAttachments } from '../store/attached/layout.ts';
import type { ImageIdentity } from '../store/descriptor.ts';
import type { Answer } from './offers/origin.ts';
import type { PullOutcome, PullTask, Site } from './site.ts';

/**
 * Checks that a trusted cosign key has signed an image, and that the image ID belongs to the signed manifest.
 *
 * @param where the place of the attachments
 * @throws PanamaxError `untrusted`
 */
export function verifyImage(
  target: ImageIdentity,
  attachments: Attachments | undefined,
  verify: VerifyCosign,
  where: string,
  limits: Limits,
): void {
  const { manifest, config: found } = target;
  if (attachments?.target !== manifest) {
    throw new PanamaxError('untrusted', `${where} has no cosign signature of the image`, {
      expected: manifest,
    });
  }
  verify(attachments, where);
  const { config } = parseManifest(Buffer.from(attachments.manifest), limits, where);
  if (config.digest === found) return;
  const facts = { expected: config.digest, found, where };
  throw new PanamaxError('untrusted', 'image ID of another image than the signed manifest', facts);
}

/** Results of the origins so far, as far as they concern artifacts. */
interface Asked {
  readonly attachments?: Attachments | undefined;
  /** A trusted cosign key has signed the target. */
  readonly isCosigned?: boolean;
  readonly reasons: readonly string[];
  /** The failure of an origin that may answer later. */
  readonly unreachable?: PanamaxError;
}

/**
 * Reads the artifacts of the target, if the task or the site needs them, and verifies the target's cosign signature. A
 * failure is a reason: another origin may have the signature.
 */
export async function askAttachments(
  { attachTo }: PullTask,
  { verifyCosign, limits, signal }: Site,
  label: string,
  { target, readAttachments }: Answer,
  { attachments: known, reasons }: Asked,
): Promise<Partial<Asked>> {
  if (attachTo === undefined && !verifyCosign) return {};
  let attachments = known?.target === target.manifest ? known : undefined;
  try {
    attachments ??= await readAttachments?.(attachTo === undefined ? 'signatures' : 'all');
    if (verifyCosign) verifyImage(target, attachments, verifyCosign, label, limits);
    const isCosigned = verifyCosign !== undefined;
    if (attachTo === undefined || !attachments?.failure) return { attachments, isCosigned };
    return { attachments, isCosigned, reasons: [...reasons, attachments.failure.message] };
  } catch (error) {
    signal.throwIfAborted();
    // a signature may be in the part that could not be read
    const failure = attachments?.failure ?? toPanamaxError(error);
    const isTemporary = failure.kind === 'io' && !failure.facts.isFinal;
    return { reasons: [...reasons, failure.message], ...(isTemporary && { unreachable: failure }) };
  }
}

/** Writes the artifacts to the layout that the task names. */
export async function writeAttached(
  { attachTo, dryRun }: PullTask,
  attachments: Attachments | undefined,
): Promise<Pick<PullOutcome, 'attached'>> {
  if (attachTo === undefined || dryRun) return {};
  if (attachments) await writeAttachments(attachments, attachTo);
  return { attached: attachments?.artifacts.length ?? 0 };
}

/** The error of a pull that requires a cosign signature, for an image without one. */
export function uncosignedError(
  name: ReleaseName,
  reasons: readonly string[],
  unreachable: PanamaxError | undefined,
): PanamaxError {
  return new PanamaxError(
    unreachable ? 'io' : 'untrusted',
    `no trusted cosign key has signed the image of ${formatReleaseName(name)}: ${reasons.join('; ')}`,
    {},
    { cause: unreachable },
  );
}
