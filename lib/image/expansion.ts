import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';

/** Bytes that a layer of any size may expand to. */
const FREE_EXPANSION = 1024 ** 3;

/** Bounds on the uncompressed size of a layer. */
export interface ExpansionBounds {
  readonly limits: Pick<Limits, 'maxExpansion'>;
  /** Size of the compressed layer in bytes. */
  readonly size: number;
  /** Bytes that the caller has room for. Default: any number. */
  readonly room?: number;
}

/**
 * Checks the bytes that a layer expands to, as soon as they are certain.
 *
 * @throws PanamaxError `limit` over `maxExpansion` or over the room
 */
export function checkExpansion(
  expanded: number,
  { limits, size, room = Infinity }: ExpansionBounds,
  where: string,
): void {
  const { maxExpansion } = limits;
  if (expanded > FREE_EXPANSION + maxExpansion * size) {
    throw new PanamaxError('limit', 'layer is over maxExpansion', {
      expected: `at most ${FREE_EXPANSION} bytes and ${maxExpansion} bytes for each of its ${size}`,
      found: `${expanded} or more`,
      where,
    });
  }
  if (expanded > room) throw tooLarge(room, where);
}

/** The error for a layer stream over `maxImageSize`. */
export function tooLarge(maxImageSize: number, where: string): PanamaxError {
  return new PanamaxError('limit', 'image is over maxImageSize', {
    expected: `at most ${maxImageSize} bytes uncompressed`,
    found: 'more',
    where,
  });
}
