/**
 * The kinds of errors, and the exit code of each, so that a script or a site agent can tell a damaged patch from a full
 * disk without parsing text.
 */
export const EXIT_CODES = {
  /** A defect of panamax itself. */
  internal: 1,
  /** The command line or an option is invalid. */
  usage: 2,
  /** An image, tar, manifest or compressed stream is damaged, or differs from its descriptor. */
  'bad-input': 3,
  /** The source given is not the one that the patch was made from. */
  'wrong-source': 4,
  /** The patch is damaged, or does not build its target. */
  'bad-patch': 5,
  /** The input exceeds a configured limit. */
  limit: 6,
  /** A named file, image or object does not exist. */
  'not-found': 7,
  /** The file system, the store or the network failed. */
  io: 8,
  /** Some items of a batch failed, the others are done. */
  partial: 9,
  /** Not signed by a trusted key, or older than the last document that was accepted. */
  untrusted: 10,
  /** This site can use none of the patches, and a pull is not allowed. */
  'no-patch': 11,
  /** A name's record was signed by a trusted key and is too old: not renewed, held back, or the clock is wrong. */
  expired: 12,
  /** Stopped by a signal. Starting again continues. */
  interrupted: 130,
} as const;

export type ErrorKind = keyof typeof EXIT_CODES;

export interface ErrorFacts {
  /** The expected value: a digest, a size, a media type, a limit. */
  readonly expected?: string | number;
  /** The value found instead. */
  readonly found?: string | number;
  /** The place: a file, a blob digest, an entry's path, a byte offset. */
  readonly where?: string;
  /** Set if a retry cannot help, although errors of this kind are often temporary. */
  readonly isFinal?: true;
}

/** The error type of this project. Its message names the expected value, the found value and the place. */
export class PanamaxError extends Error {
  override readonly name = 'PanamaxError';
  readonly kind: ErrorKind;
  readonly facts: ErrorFacts;

  constructor(kind: ErrorKind, what: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    const parts = [
      facts.expected === undefined ? '' : `expected ${printable(String(facts.expected))}`,
      facts.found === undefined ? '' : `found ${printable(String(facts.found))}`,
      facts.where === undefined ? '' : `in ${printable(facts.where)}`,
    ].filter(Boolean);
    super(parts.length ? `${what}: ${parts.join(', ')}` : what, options);
    this.kind = kind;
    this.facts = facts;
  }
}

const MAX_SHOWN = 300;
/** `user:pass@` is redacted where a host follows, not before a digest. */
const USER_INFO = /(^|\/\/)[^/@:[\s]+:[^/@\s]+@(?!sha256:)/g;

/**
 * Makes untrusted text safe to print: escapes control characters, redacts passwords in URLs (RFC 3986, userinfo) and
 * shortens it to 300 characters.
 */
export function printable(text: string): string {
  const safe = text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\x${c.codePointAt(0)!.toString(16).padStart(2, '0')}`)
    .replace(USER_INFO, '$1***@');
  return safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}…` : safe;
}

/** A `bad-patch`, `bad-input` or `limit` with its place, unless it names one: decoders know no file. */
export function withPlace(error: unknown, where: string): unknown {
  const isOfInput = error instanceof PanamaxError && /^(bad-patch|bad-input|limit)$/.test(error.kind);
  if (!isOfInput || error.facts.where !== undefined) return error;
  const separator = error.facts.expected === undefined && error.facts.found === undefined ? ':' : ',';
  const message = `${error.message}${separator} in ${printable(where)}`;
  const facts = { ...error.facts, where };
  return Object.assign(new PanamaxError(error.kind, message, {}, { cause: error }), { facts });
}

const IO_CODES = new Set([
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'EROFS',
  'EACCES',
  'EPERM',
  'EMFILE',
  'ENFILE',
  'EFBIG',
  'EXDEV',
  'EEXIST',
  'EISDIR',
  'ENOTEMPTY',
  'ELOOP',
  'ENAMETOOLONG',
  'EBUSY',
]);

/** Converts any thrown value to a `PanamaxError`. System errors keep their code in the message. */
export function toPanamaxError(error: unknown, where?: string): PanamaxError {
  if (error instanceof PanamaxError) return error;
  const facts: ErrorFacts = where === undefined ? {} : { where };
  if (error instanceof Error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (error.name === 'AbortError' || code === 'ABORT_ERR') {
      return new PanamaxError('interrupted', 'stopped before it was done', facts, { cause: error });
    }
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return new PanamaxError('not-found', error.message, facts, { cause: error });
    }
    if (code !== undefined && IO_CODES.has(code)) {
      return new PanamaxError('io', error.message, facts, { cause: error });
    }
    return new PanamaxError('internal', error.message, facts, { cause: error });
  }
  return new PanamaxError('internal', String(error), facts);
}
