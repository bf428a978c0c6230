import type { Effort } from '../lib/delta/alignment.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { Arguments, Options } from './command.ts';

export const EFFORT_OPTION: Options = {
  effort: { type: 'string', value: 'LEVEL', help: 'fast, default or best', default: 'default' },
};

/** @throws PanamaxError `usage` */
export function parseEffort(args: Arguments): Effort {
  const text = args.text('effort');
  if (text === 'fast' || text === 'default' || text === 'best') return text;
  throw new PanamaxError('usage', '--effort', { expected: 'fast, default or best', found: text ?? '' });
}
