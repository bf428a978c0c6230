import { PanamaxError, toPanamaxError } from '../errors.ts';
import { StatusError } from '../runtime/http/retry.ts';

/** An answer that refuses a request (distribution-spec, "Error Codes"). */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** Answers of an upstream that are passed on. Status 401 would make a client log in to the mirror. */
const PASSED_ON: Readonly<Record<number, readonly [number, string]>> = {
  401: [403, 'DENIED'],
  403: [403, 'DENIED'],
  429: [429, 'TOOMANYREQUESTS'],
};

/**
 * The refusal for an error. An upstream that fails or does not answer is not told as an unknown image: an engine then
 * asks its next registry.
 *
 * @param unknown code for something that does not exist upstream
 */
export function refusalFor(error: unknown, unknown: string): Refusal {
  if (error instanceof Refusal) return error;
  const known = toPanamaxError(error);
  const options = { cause: error };
  const { cause } = known;
  const passed = cause instanceof StatusError ? PASSED_ON[cause.status] : undefined;
  if (passed) return new Refusal(...passed, known.message, options);
  if (known.kind === 'not-found') return new Refusal(404, unknown, known.message, options);
  if (known.kind === 'untrusted' || known.kind === 'expired')
    return new Refusal(403, 'DENIED', known.message, options);
  if (known.kind === 'internal') return new Refusal(500, 'UNKNOWN', 'internal error', options);
  return new Refusal(503, 'UNAVAILABLE', known.message, options);
}

/** Whether an error says that something does not exist, rather than that nobody could tell. */
export function isUnknown(error: unknown): boolean {
  return error instanceof PanamaxError && error.kind === 'not-found';
}
