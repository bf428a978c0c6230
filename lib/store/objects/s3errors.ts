import { S3Error } from 'minio';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';

/** Refusals that come of a transfer gone wrong. */
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

/** What a server has refused it will refuse again; what went wrong on the way or in it may go well. */
export function isTransient(error: unknown): boolean {
  if (error instanceof S3Error) return TRANSFER_CODES.has(error.code ?? '');
  return !(error instanceof PanamaxError) && protocolProblem(error) === undefined;
}

/**
 * The `io` error for what a server or the way to it did. Of a refusal it keeps the code and the text: other fields
 * hold what was signed.
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
  // several addresses tried make an error without a message
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', message || (code ?? 'store failed'), { where }, { cause: error });
}
