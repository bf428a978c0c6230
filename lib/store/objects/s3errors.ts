import { S3Error } from 'minio';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import { isTransientFailure } from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';

/** Error codes of S3 for a request that was damaged on its way. */
const TRANSFER_CODES = new Set([
  'BadDigest',
  'IncompleteBody',
  'RequestTimeout',
  'XAmzContentSHA256Mismatch',
]);

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof S3Error && codes.includes(error.code ?? '');
}

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'NotFound', 'NoSuchKey');
}

/** Refusals of S3 are final, except those about a damaged request. */
export function isTransient(error: unknown): boolean {
  if (error instanceof S3Error) return TRANSFER_CODES.has(error.code ?? '');
  return isTransientFailure(error);
}

/**
 * Converts an error of the client or the network to a PanamaxError. Of a refusal it keeps only code and message: the
 * other fields contain the signed request.
 */
export function storeError(error: unknown, where: string): PanamaxError {
  if (isMissing(error)) return new PanamaxError('not-found', 'no such object', { where });
  if (error instanceof S3Error) {
    const text = [error.code, error.message].filter(Boolean).join(': ');
    return new PanamaxError('io', `the store refuses: ${text}`, { where });
  }
  const problem = protocolProblem(error);
  if (problem) return new PanamaxError('io', problem, { where, isFinal: true }, { cause: error });
  const known = toPanamaxError(error, where);
  if (known.kind !== 'internal') return known;
  // an error about several addresses of a host has a code but no message
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', message || (code ?? 'store failed'), { where }, { cause: error });
}
