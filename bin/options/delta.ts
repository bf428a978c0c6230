import type { FormatName } from '../../lib/delta/format.ts';
import { DEFAULT_FORMAT, findFormat, formatNames } from '../../lib/delta/formats.ts';
import { EFFORTS, type Effort } from '../../lib/delta/align/alignment.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { Arguments, Options } from '../command.ts';

const FORMATS = formatNames();
/** The value of --format that selects all formats. */
const EVERY = 'all';
const SOME_FORMATS = `${FORMATS.join(', ')}, several with commas, or ${EVERY}`;

/** Option of the commands that take one format. */
export const FORMAT_OPTION: Options = {
  format: {
    type: 'string',
    value: 'FORMAT',
    help: FORMATS.join(' or '),
    default: DEFAULT_FORMAT.name,
    choices: FORMATS,
    env: true,
  },
};

/** Format and effort of patches. */
export const DELTA_OPTIONS: Options = {
  format: {
    type: 'string',
    value: 'FORMAT',
    help: SOME_FORMATS,
    default: DEFAULT_FORMAT.name,
    choices: [...FORMATS, EVERY],
    env: true,
  },
  effort: {
    type: 'string',
    value: 'LEVEL',
    help: 'fast, default or best',
    default: 'default',
    choices: EFFORTS,
    env: true,
  },
};

export const FORCE_OPTION: Options = {
  force: { type: 'boolean', help: 'make patches even if no source is predicted to be worth one' },
};

export const TOGETHER_OPTION: Options = {
  together: {
    type: 'boolean',
    help: 'every site has all of the sources, so a patch may use several of them',
  },
};

/** @throws PanamaxError `usage` */
export function parseFormats(args: Arguments): FormatName[] {
  const text = args.text('format') ?? '';
  if (text === EVERY) return FORMATS;
  const names = new Set(text.split(','));
  if ([...names].every(findFormat)) return FORMATS.filter((name) => names.has(name));
  throw new PanamaxError('usage', '--format', { expected: SOME_FORMATS, found: text });
}

/** @throws PanamaxError `usage` */
export function parseEffort(args: Arguments): Effort {
  const text = args.text('effort');
  const effort = EFFORTS.find((known) => known === text);
  if (effort) return effort;
  throw new PanamaxError('usage', '--effort', { expected: EFFORTS.join(' or '), found: text ?? '' });
}
