import type { PatchFormat } from '../../lib/delta/format.ts';
import { EFFORTS, type Effort } from '../../lib/delta/align/alignment.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { Arguments, Options } from '../command.ts';

/** How patches are made. */
export const DELTA_OPTIONS: Options = {
  format: { type: 'string', value: 'FORMAT', help: 'xdelta, oci-delta or both', default: 'xdelta' },
  effort: { type: 'string', value: 'LEVEL', help: 'fast, default or best', default: 'default' },
};

/** Which pairs patches are made of. */
export const FORCE_OPTION: Options = {
  force: { type: 'boolean', help: 'make patches also where no source is predicted to be worth one' },
};

export const TOGETHER_OPTION: Options = {
  together: { type: 'boolean', help: 'each site has all of the sources: several of them may be one source' },
};

/** @throws PanamaxError `usage` */
export function parseFormats(args: Arguments): PatchFormat[] {
  const text = args.text('format');
  if (text === 'both') return ['xdelta', 'oci-delta'];
  if (text === 'xdelta' || text === 'oci-delta') return [text];
  throw new PanamaxError('usage', '--format', { expected: 'xdelta, oci-delta or both', found: text ?? '' });
}

/** @throws PanamaxError `usage` */
export function parseEffort(args: Arguments): Effort {
  const text = args.text('effort');
  const effort = EFFORTS.find((known) => known === text);
  if (effort) return effort;
  throw new PanamaxError('usage', '--effort', { expected: EFFORTS.join(' or '), found: text ?? '' });
}
