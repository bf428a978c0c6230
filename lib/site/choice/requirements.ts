import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatNamed } from '../../delta/formats.ts';
import { PanamaxError } from '../../errors.ts';
import type { ImageName } from '../../store/descriptor.ts';
import type { Link } from './chain.ts';
import type { Offer } from '../offers/origin.ts';

/** What a patch takes to apply, in bytes. Said before anything is begun, and compared with what there is. */
export interface Need {
  /** On the disk of the scratch directory. */
  readonly scratch: number;
  /** On the disk of the state directory, for the patch. */
  readonly state: number;
  readonly memory: number;
}

/** Tar headers and documents, for each image. */
const OVERHEAD = 16 * 1024 ** 2;

function needOf({ format, source, size }: Offer, target: ImageName, isExported: boolean): Need {
  const exported = isExported ? source.size + OVERHEAD : 0;
  const { traits, applyMemory } = formatNamed(format);
  const rebuilt = traits.rebuildsOnScratch ? target.size : 0;
  return {
    scratch: exported + source.size + rebuilt + target.size + OVERHEAD,
    state: size,
    memory: applyMemory,
  };
}

/** Of patches one behind the other: all are fetched first; a layer stream goes when the next one is built. */
export function needOfChain(links: readonly Link[], isExported: boolean): Need {
  const needs = links.map(({ offer, target }, i) => needOf(offer, target, isExported && i === 0));
  return {
    scratch: Math.max(...needs.map(({ scratch }) => scratch)),
    state: needs.reduce((sum, { state }) => sum + state, 0),
    memory: Math.max(...needs.map(({ memory }) => memory)),
  };
}

/** @throws PanamaxError `io` */
export async function checkNeed(need: Need, scratch: string, state: string): Promise<void> {
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

/** The directory, or what there is of its parents. */
async function existing(directory: string): Promise<string> {
  for (let path = directory; ; path = dirname(path)) {
    if (path === dirname(path) || (await stat(path).catch(() => undefined))) return path;
  }
}

function tooLittle(what: string, need: number, found: number, where?: string): PanamaxError {
  return new PanamaxError('io', `not enough ${what} for a patch`, {
    expected: `${need} bytes`,
    found: `${found} bytes free`,
    ...(where !== undefined && { where }),
  });
}
