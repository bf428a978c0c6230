import type { NameRecord } from './name.ts';
import { formatTime } from './nametrust.ts';

/** A current name that an owner has to sign again. */
export interface ExpiringName {
  readonly name: string;
  readonly platform: string;
  /** ISO 8601. */
  readonly expires: string;
  /** Sites refuse the name until it is signed again. */
  readonly isExpired: boolean;
}

/** In milliseconds. */
const WEEK = 7 * 24 * 3600 * 1000;

/** Of current names, those that expire within a week or have expired, soonest first. */
export function expiringAmong(names: Iterable<NameRecord>): ExpiringName[] {
  const now = Date.now();
  const found = [...names].flatMap(({ name, platform, expires }) =>
    expires === undefined || expires >= now + WEEK ? [] : [{ name, platform, expires }],
  );
  return found
    .toSorted((a, b) => a.expires - b.expires)
    .map((one) => ({ ...one, expires: formatTime(one.expires), isExpired: one.expires <= now }));
}
