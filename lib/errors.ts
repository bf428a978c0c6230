/**
 * What can go wrong, by kind. Each kind has one process exit code, so that a script or a site agent can
 * tell a damaged patch from a full disk without reading text.
 */
export const EXIT_CODES = {
  /** A defect of panamax itself. */
  internal: 1,
  /** The command line or an option makes no sense. */
  usage: 2,
  /** An image, tar, manifest or compressed stream from outside is damaged or not what it says it is. */
  'bad-input': 3,
  /** The source given is not the source the patch was made from. */
  'wrong-source': 4,
  /** The patch is damaged, or what it builds is not its target. */
  'bad-patch': 5,
  /** The input goes past a configured limit. */
  limit: 6,
  /** Something that was named is not there. */
  'not-found': 7,
  /** The file system, the store or the network failed. */
  io: 8,
  /** Some items of a batch failed; the others are done. */
  partial: 9,
  /** Not signed by a key that is trusted, or older than what was accepted before. */
  untrusted: 10,
  /** There is no patch that this site could use, and a pull is not allowed. */
  'no-patch': 11,
  /** Stopped by a signal; a second start continues. */
  interrupted: 130,
} as const;

export type ErrorKind = keyof typeof EXIT_CODES;

export interface ErrorFacts {
  /** What was expected there: a digest, a size, a media type, a limit. */
  readonly expected?: string | number;
  /** What was found instead. */
  readonly found?: string | number;
  /** Where: a file, a blob digest, an entry's path, a byte offset. */
  readonly where?: string;
  /** Whether nothing that is done again will help, though it is of a kind that often goes well later. */
  readonly isFinal?: true;
}

/** The one error type that crosses module borders. Its message names what was expected, found and where. */
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
/** Before a digest there is no host. */
const USER_INFO = /(^|\/\/)[^/@:[\s]+:[^/@\s]+@(?!sha256:)/g;

/**
 * Names come from outside: control characters never reach a terminal, and nothing fills a log. Nor does a password, where
 * somebody put one before a host (RFC 3986, userinfo).
 */
export function printable(text: string): string {
  const safe = text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\x${c.codePointAt(0)!.toString(16).padStart(2, '0')}`)
    .replace(USER_INFO, '$1***@');
  return safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}…` : safe;
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

/** Turns whatever was thrown into a `PanamaxError`; system errors keep their code in the message. */
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
