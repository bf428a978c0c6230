import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../lib/errors.ts';
import type { ResidentSet, RunPlan } from '../../lib/run/plan.ts';
import { expandReferences, isPattern, type TagChoice } from '../../producers/question/expand.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import { readReferences } from '../../producers/question/references.ts';
import type { Arguments, Options } from '../command.ts';
import { DELTA_OPTIONS, FORCE_OPTION, parseEffort, parseFormats, TOGETHER_OPTION } from './delta.ts';
import { tagChoice, TAG_OPTIONS } from './registry.ts';

/** What a run is asked for, be it on a queue or in this process. */
export const QUESTION_OPTIONS: Options = {
  from: { type: 'string', value: 'FILE', help: 'more images, one a line; - is standard input' },
  sources: {
    type: 'string',
    short: 's',
    multiple: true,
    value: 'IMAGE',
    help: 'the images that sites have (default: all of IMAGE...)',
  },
  inventory: { type: 'string', short: 'i', value: 'FILE', help: 'YAML: sites, and the images each holds' },
  top: {
    type: 'string',
    value: 'K',
    help: 'patches per target and set of images, from the K best',
    default: '1',
  },
  ...TAG_OPTIONS,
  ...DELTA_OPTIONS,
  ...FORCE_OPTION,
  ...TOGETHER_OPTION,
};

export const QUESTION_USAGE = 'IMAGE... | --from FILE [options]';

/**
 * @param nameOf what a reference is called in the run
 * @throws PanamaxError `usage`, and what reading lists and registries throws
 */
export async function readQuestion(
  args: Arguments,
  signal: AbortSignal,
  nameOf: (reference: string) => string,
): Promise<Omit<RunPlan, 'id' | 'started'>> {
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
  checkChoice(choice, named);
  const targets = await expandReferences(unique([...args.operands, ...listed]), choice);
  if (targets.length === 0) throw new PanamaxError('usage', 'no images', { expected: QUESTION_USAGE });
  const sources = await expandReferences(unique(args.list('sources')), choice);
  const residents: ResidentSet[] = [];
  for (const { images, ...set } of sites) {
    residents.push({ ...set, images: await expandReferences(unique(images), choice) });
  }
  const together = args.flag('together') && { together: true as const };
  if (sources.length > 0) residents.push({ images: sources, ...together });
  else if (inventory === undefined) residents.push({ images: targets, ...together });
  return {
    targets,
    residents,
    ...args.platform,
    top: args.count('top'),
    formats: parseFormats(args),
    effort: parseEffort(args),
    ...(args.flag('force') && { force: true as const }),
  };
}

async function readInventory(path: string): Promise<ResidentSet[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  return parseInventory(text, path);
}

/** One image where ten were meant would go unnoticed. @throws PanamaxError `usage` */
function checkChoice({ tags, last }: TagChoice, references: readonly string[]): void {
  if (tags === undefined && last === undefined) return;
  if (references.some((reference) => isPattern(reference, tags))) return;
  const options = [tags === undefined ? '' : '--tags', last === undefined ? '' : '--last'];
  throw new PanamaxError('usage', `${options.filter(Boolean).join(' and ')}: no pattern of tags`, {
    expected: 'docker://HOST/REPO:PATTERN, or docker://HOST/REPO and --tags PATTERN',
  });
}
