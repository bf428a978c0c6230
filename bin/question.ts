import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import type { ResidentSet, RunPlan } from '../lib/run/plan.ts';
import { expandReferences, type TagChoice } from '../producers/expand.ts';
import { parseInventory } from '../producers/inventory.ts';
import { readReferences } from '../producers/references.ts';
import type { Arguments, Options } from './command.ts';
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
  const targets = await expandReferences(unique([...args.operands, ...listed]), choice);
  if (targets.length === 0) throw new PanamaxError('usage', 'no images', { expected: QUESTION_USAGE });
  const inventory = args.text('inventory');
  const sources = await expandReferences(unique(args.list('sources')), choice);
  const residents: ResidentSet[] =
    inventory === undefined ? [] : await readInventory(inventory, unique, choice);
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

async function readInventory(
  path: string,
  unique: (references: readonly string[]) => string[],
  choice: TagChoice,
): Promise<ResidentSet[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const sets: ResidentSet[] = [];
  for (const { images, ...set } of parseInventory(text, path)) {
    sets.push({ ...set, images: await expandReferences(unique(images), choice) });
  }
  return sets;
}
