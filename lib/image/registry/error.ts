import type { IncomingMessage } from 'node:http';
import { PanamaxError, printable, toPanamaxError } from '../../errors.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';

/** Answers that say: later. */
const TRY_LATER = new Set([408, 429, 500, 502, 503, 504]);
const MAX_ERROR_SIZE = 64 * 1024;

/** An answer that is none of those that were asked for. */
export class RefusalError extends Error {
  override readonly name = 'RefusalError';
  readonly status: number;
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, retryAfter?: number) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Reads what a registry says of an error (distribution-spec, error codes). */
export async function refusalOf(response: IncomingMessage): Promise<RefusalError> {
  const status = response.statusCode ?? 0;
  let text = '';
  try {
    for await (const piece of response) {
      text += String(piece);
      if (text.length > MAX_ERROR_SIZE) break;
    }
  } catch {
    // the status is what counts
  }
  response.destroy();
  const said = errorsOf(text);
  return new RefusalError(
    status,
    printable(`${status} ${response.statusMessage ?? ''}${said ? `: ${said}` : ''}`),
    retryAfterOf(response),
  );
}

function errorsOf(text: string): string {
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

/** In milliseconds (RFC 9110, 10.2.3: seconds, or a date). */
export function retryAfterOf({ headers }: Pick<IncomingMessage, 'headers'>): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

/** What went wrong on the way may go well; what the registry has refused it will refuse again. */
export function isTransient(error: unknown): boolean {
  if (error instanceof RefusalError) return TRY_LATER.has(error.status);
  if (error instanceof PanamaxError) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return !/^(ERR_INVALID|ENOTFOUND)/.test(code) && protocolProblem(error) === undefined;
}

const PLAIN = '--insecure-registry HOST[:PORT] names those that are spoken to in plain HTTP';

export function registryError(error: unknown, where: string): PanamaxError {
  if (error instanceof RefusalError) {
    const kind = error.status === 404 ? 'not-found' : 'io';
    const isFinal = !isTransient(error) && { isFinal: true as const };
    return new PanamaxError(kind, `the registry refuses: ${error.message}`, { where, ...isFinal });
  }
  const problem = protocolProblem(error, PLAIN);
  if (problem)
    return new PanamaxError('io', `registry: ${problem}`, { where, isFinal: true }, { cause: error });
  const known = toPanamaxError(error, where);
  if (known.kind !== 'internal') return known;
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', `registry: ${message || (code ?? 'failed')}`, { where }, { cause: error });
}
