import type { IncomingMessage } from 'node:http';
import { PanamaxError, printable, toPanamaxError } from '../../errors.ts';
import { isTransientFailure, retryAfterOf, StatusError } from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';

const MAX_ERROR_SIZE = 64 * 1024;

/** Reads the error document of a response (distribution-spec, "Error Codes"). */
export async function refusalOf(response: IncomingMessage): Promise<StatusError> {
  const status = response.statusCode ?? 0;
  let text = '';
  try {
    for await (const piece of response) {
      text += String(piece);
      if (text.length > MAX_ERROR_SIZE) break;
    }
  } catch {
    // the status alone is enough
  }
  response.destroy();
  const errors = formatErrors(text);
  const message = `${status} ${response.statusMessage ?? ''}${errors ? `: ${errors}` : ''}`;
  return new StatusError(status, printable(message), retryAfterOf(response));
}

function formatErrors(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    return (errors ?? [])
      .slice(0, 3)
      .map(({ code, message }) => [code, message].filter((part) => typeof part === 'string').join(' '))
      .join('; ');
  } catch {
    return '';
  }
}

/**
 * As `isTransientFailure`, but an unknown host is final: users type the names of registries. A registry answers 409 while
 * another client writes the same blob or tag.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof StatusError && error.status === 409) return true;
  return isTransientFailure(error) && (error as NodeJS.ErrnoException).code !== 'ENOTFOUND';
}

const PLAIN_HTTP_ADVICE = '--insecure-registry HOST[:PORT] names those that are spoken to in plain HTTP';

export function registryError(error: unknown, where: string): PanamaxError {
  if (error instanceof StatusError) {
    const kind = error.status === 404 ? 'not-found' : 'io';
    const isFinal = !isTransient(error) && { isFinal: true as const };
    return new PanamaxError(
      kind,
      `the registry refuses: ${error.message}`,
      { where, ...isFinal },
      { cause: error },
    );
  }
  const problem = protocolProblem(error, PLAIN_HTTP_ADVICE);
  if (problem) {
    return new PanamaxError('io', `registry: ${problem}`, { where, isFinal: true }, { cause: error });
  }
  const known = toPanamaxError(error, where);
  if (known.kind !== 'internal') return known;
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', `registry: ${message || (code ?? 'failed')}`, { where }, { cause: error });
}
