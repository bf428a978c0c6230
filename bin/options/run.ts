import { PanamaxError } from '../../lib/errors.ts';
import type { ResidentSet, RunRequest } from '../../lib/run/request.ts';
import { expandReferences, isPattern, type TagChoice } from '../../producers/question/expand.ts';
import { readReferences } from '../../producers/question/references.ts';
import type { Arguments, Options } from '../command.ts';
import { DELTA_OPTIONS, FORCE_OPTION, parseEffort, parseFormats, TOGETHER_OPTION } from './delta.ts';
import { readInventory } from './inventory.ts';
import { tagChoice, TAG_OPTIONS } from './registry.ts';

/** Options that define a run, in the queue or in this process. */
export const RUN_OPTIONS: Options = {
  from: { type: 'string', value: 'FILE', help: 'file of further images, one per line; - is standard input' },
  sources: {
    type: 'string',
    short: 's',
    multiple: true,
    value: 'IMAGE',
    help: 'images that sites have (default: all of IMAGE..., for enqueue also earlier ones)',
  },
  inventory: {
    type: 'string',
    short: 'i',
    value: 'FILE',
    env: true,
    help: 'YAML file that lists the images of each site',
  },
  top: {
    type: 'string',
    value: 'K',
    help: 'patches per target and set of images at most, from the K best sources; further ones only if they serve other sites, and are not far from the best',
    default: '1',
  },
  rollback: {
    type: 'boolean',
    help: 'without --sources and --inventory: also make patches from later releases to earlier ones',
  },
  ...TAG_OPTIONS,
  ...DELTA_OPTIONS,
  ...FORCE_OPTION,
  ...TOGETHER_OPTION,
};

/**
 * Builds a run request from the command line. Reads the lists of images and expands patterns of tags.
 *
 * @param nameOf maps a reference to the form that the run records
 * @throws PanamaxError `usage`, and the errors of reading lists and registries
 */
export async function parseRunRequest(
  args: Arguments,
  signal: AbortSignal,
  nameOf: (reference: string) => string,
): Promise<Omit<RunRequest, 'id' | 'started'>> {
  const from = args.text('from');
  const listed = from === undefined ? [] : await readReferences(from);
  const choice = tagChoice(args, signal);
  const unique = (references: readonly string[]) => [...new Set(references.map(nameOf))];
  const inventory = args.text('inventory');
  const sites = inventory === undefined ? [] : await readInventory(inventory);
  const named = [
    ...args.operands,
    ...listed,
    ...args.list('sources'),
    ...sites.flatMap(({ images }) => images),
  ];
  checkChoice(choice, named.map(nameOf));
  const targets = await expandReferences(unique([...args.operands, ...listed]), choice);
  if (targets.length === 0)
    throw new PanamaxError('usage', 'no images', { expected: 'IMAGE... or --from FILE' });
  const sources = await expandReferences(unique(args.list('sources')), choice);
  const residents: ResidentSet[] = [];
  for (const { images, ...set } of sites) {
    residents.push({ ...set, images: await expandReferences(unique(images), choice) });
  }
  const together = args.flag('together') && { together: true as const };
  if (sources.length > 0) residents.push({ images: sources, ...together });
  else if (inventory === undefined) residents.push({ images: targets, ...together });
  // sources that were named are meant
  const forward = sources.length === 0 && inventory === undefined && !args.flag('rollback');
  return {
    targets,
    residents,
    ...args.platform,
    top: args.count('top'),
    formats: parseFormats(args),
    effort: parseEffort(args),
    ...(args.flag('force') && { force: true as const }),
    ...(forward && { forward: true as const }),
  };
}

/**
 * Refuses --tags and --last without a pattern of tags: the run would have fewer images than intended.
 *
 * @throws PanamaxError `usage`
 */
function checkChoice({ tags, last }: TagChoice, references: readonly string[]): void {
  if (tags === undefined && last === undefined) return;
  if (references.some((reference) => isPattern(reference, tags))) return;
  const options = [tags === undefined ? '' : '--tags', last === undefined ? '' : '--last'];
  throw new PanamaxError('usage', `${options.filter(Boolean).join(' and ')}: no pattern of tags`, {
    expected: 'docker://HOST/REPO:PATTERN, or docker://HOST/REPO and --tags PATTERN',
  });
}
