import { PanamaxError } from '../errors.ts';
import type { Verify } from './key.ts';
import { nameStatement, type NameRecord } from './name.ts';

/** Requirements of a site on records of names. */
export interface NameTrust {
  /** Undefined if unsigned records are accepted. */
  readonly verify?: Verify;
  /** The store that records must be for. */
  readonly storeName?: string;
  /** Whether records must expire. */
  readonly requireExpiry?: boolean;
}

const DAY = 24 * 3600 * 1000;
/** How far a sequence may be ahead of this machine's clock, in milliseconds. */
const MAX_AHEAD = DAY;
/** From signing to expiry, in milliseconds. An expiry later than that would hardly be one. */
export const MAX_LIFETIME = 366 * DAY;

/**
 * Checks that a record is signed as required, for the required store, and valid now. Whether the site has accepted a
 * later one is checked elsewhere (`trustName`).
 *
 * @throws PanamaxError `untrusted`, `expired`
 */
export function verifyName(record: NameRecord, trust: NameTrust, where: string): void {
  const { verify, storeName, requireExpiry = false } = trust;
  const { name, store, expires } = record;
  verify?.(nameStatement(record), record, where);
  checkSequence(record, where);
  checkExpiry(record, where);
  if (storeName !== undefined && store !== storeName) {
    throw new PanamaxError('untrusted', `the record of ${name} is for another store`, {
      expected: storeName,
      found: store ?? 'no name of a store',
      where,
    });
  }
  if (requireExpiry && expires === undefined) {
    const facts = { expected: 'a time of expiry', found: 'none', where };
    throw new PanamaxError('untrusted', `the record of ${name} does not expire`, facts);
  }
}

/**
 * Refuses a sequence that is more than a day ahead of the clock. A record with it would outrank all later records of
 * the name.
 *
 * @throws PanamaxError `untrusted`
 */
export function checkSequence({ name, sequence }: NameRecord, where: string): void {
  const latest = Date.now() + MAX_AHEAD;
  if (sequence <= latest) return;
  throw new PanamaxError('untrusted', `the record of ${name} is of the future`, {
    expected: `a sequence of at most a day ahead of this machine's clock, ${latest}`,
    found: sequence,
    where,
  });
}

/** @throws PanamaxError `expired`; `untrusted` for an expiry that no owner can have chosen */
export function checkExpiry({ name, expires }: NameRecord, where: string): void {
  if (expires === undefined) return;
  const now = Date.now();
  if (expires <= now) {
    const why =
      "its owner has not renewed it, somebody holds the site back, or this machine's clock is wrong";
    throw new PanamaxError('expired', `the record of ${name} has expired (${why})`, {
      expected: `a record that is valid at ${formatTime(now)}, the time of this machine`,
      found: `expiry at ${formatTime(expires)}`,
      where,
    });
  }
  const latest = now + MAX_LIFETIME + MAX_AHEAD;
  if (expires <= latest) return;
  throw new PanamaxError('untrusted', `the record of ${name} expires too late`, {
    expected: `expiry at ${formatTime(latest)} at the latest, by this machine's clock`,
    found: formatTime(expires),
    where,
  });
}

/** The last time that ECMAScript's dates have, in milliseconds since 1970. */
const LAST_TIME = 8.64e15;

/** Any number of milliseconds since 1970 as ISO 8601. */
export function formatTime(time: number): string {
  return new Date(Math.min(time, LAST_TIME)).toISOString();
}
