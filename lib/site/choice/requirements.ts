import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatNamed } from '../../delta/formats.ts';
import { PanamaxError } from '../../errors.ts';
import { statIfThere } from '../../runtime/file.ts';
import type { ImageIdentity } from '../../store/descriptor.ts';
import type { Link } from './chain.ts';
import type { Offer } from '../offers/origin.ts';

/** Space and memory for applying patches, in bytes; compared with the site's before the download. */
export interface Requirements {
  /** On the scratch directory's disk. */
  readonly scratch: number;
  /** On the state directory's disk, for the patches. */
  readonly state: number;
  readonly memory: number;
}

/** Tar headers and documents of an image. */
const OVERHEAD = 16 * 1024 ** 2;

function requirementsOfPatch(
  { format, source, size }: Offer,
  target: ImageIdentity,
  isExported: boolean,
): Requirements {
  const exported = isExported ? source.size + OVERHEAD : 0;
  const { traits, applyMemory } = formatNamed(format);
  const rebuilt = traits.rebuildsOnScratch ? target.size : 0;
  return {
    scratch: exported + source.size + rebuilt + target.size + OVERHEAD,
    state: size,
    memory: applyMemory,
  };
}

/**
 * Requirements of a chain: all patches are downloaded first; scratch files of a step are removed after the step.
 *
 * @param isExported whether the source images are copied to scratch
 */
export function requirementsOf(links: readonly Link[], isExported: boolean): Requirements {
  const needs = links.map(({ offer, target }, i) =>
    requirementsOfPatch(offer, target, isExported && i === 0),
  );
  return {
    scratch: Math.max(...needs.map(({ scratch }) => scratch)),
    state: needs.reduce((sum, { state }) => sum + state, 0),
    memory: Math.max(...needs.map(({ memory }) => memory)),
  };
}

/** @throws PanamaxError `io` if the site has too little disk space or memory */
export async function checkRequirements(need: Requirements, scratch: string, state: string): Promise<void> {
  const isShared = (await stat(await existing(scratch))).dev === (await stat(await existing(state))).dev;
  await checkDisk(isShared ? need.scratch + need.state : need.scratch, scratch);
  if (!isShared) await checkDisk(need.state, state);
  const found = process.availableMemory();
  if (found < need.memory) throw tooLittle('memory', need.memory, found);
}

async function checkDisk(need: number, directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(await existing(directory));
  if (bavail * bsize < need) throw tooLittle('disk space', need, bavail * bsize, directory);
}

/** The directory, or its nearest parent that exists. */
async function existing(directory: string): Promise<string> {
  for (let path = directory; ; path = dirname(path)) {
    if (path === dirname(path) || (await statIfThere(path))) return path;
  }
}

function tooLittle(what: string, need: number, found: number, where?: string): PanamaxError {
  return new PanamaxError('io', `not enough ${what} for a patch`, {
    expected: `${need} bytes`,
    found: `${found} bytes free`,
    ...(where !== undefined && { where }),
  });
}
