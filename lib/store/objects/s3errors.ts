import { InvalidBucketNameError, S3Error } from 'minio';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import { isTransientFailure, StatusError } from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';
import { BUCKET_NAME } from './store.ts';

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

/** Error codes of S3 for a request that another request to the same object or bucket has got in the way of (409). */
const CONFLICT_CODES = new Set(['OperationAborted', 'ConditionalRequestConflict']);

/** Refusals of S3 are final, except those about a damaged request and about requests at the same time. */
export function isTransient(error: unknown): boolean {
  if (error instanceof S3Error) {
    return TRANSFER_CODES.has(error.code ?? '') || CONFLICT_CODES.has(error.code ?? '');
  }
  // a response to HEAD has no code
  if (error instanceof StatusError && error.status === 409) return true;
  return isTransientFailure(error);
}

/** The error for a request that is refused because of its time. @param serverTime in milliseconds, if known */
export function clockSkew(serverTime?: number, where?: string): PanamaxError {
  return new PanamaxError('io', "the store refuses: this machine's clock differs from the store's", {
    ...(serverTime !== undefined && { expected: new Date(serverTime).toISOString() }),
    found: new Date().toISOString(),
    ...(where !== undefined && { where }),
    isFinal: true,
  });
}

/**
 * Converts an error of the client or the network to a PanamaxError. Of a refusal it keeps only code and message: the
 * other fields contain the signed request.
 */
export function storeError(error: unknown, where: string): PanamaxError {
  if (isMissing(error)) return new PanamaxError('not-found', 'no such object', { where });
  if (hasCode(error, 'RequestTimeTooSkewed')) return clockSkew(undefined, where);
  if (error instanceof InvalidBucketNameError || hasCode(error, 'InvalidBucketName')) {
    return new PanamaxError('usage', 'no bucket has this name', {
      expected: BUCKET_NAME,
      where,
    });
  }
  if (error instanceof S3Error) {
    const text = [error.code, error.message].filter(Boolean).join(': ');
    return new PanamaxError('io', `the store refuses${text && `: ${text}`}`, { where });
  }
  // the client wraps the errors of those that give it keys
  if (error instanceof Error && error.cause instanceof PanamaxError) return error.cause;
  const problem = protocolProblem(error);
  if (problem) return new PanamaxError('io', problem, { where, isFinal: true }, { cause: error });
  const known = toPanamaxError(error, where);
  if (known.kind !== 'internal') return known;
  // an error about several addresses of a host has a code but no message
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', message || (code ?? 'store failed'), { where }, { cause: error });
}
