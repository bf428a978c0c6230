/**
 * encode.ts SOURCE TARGET PATCH FORMAT EFFORT: makes a patch of two layer streams on disk, each with its image's record
 * beside it as `.json`, and verifies it, as the delta stage does. A process of its own, to be measured.
 */
import { dirname } from 'node:path';
import type { Effort } from '../lib/delta/alignment.ts';
import { createPatch } from '../lib/delta/patch.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import type { PatchFormat } from '../lib/store/layout.ts';
import { readUnpacked } from './unpacked.ts';

const [source, target, path, format, effort] = process.argv.slice(2);

await createPatch({
  source: await readUnpacked(source!),
  target: await readUnpacked(target!),
  path: path!,
  scratch: dirname(path!),
  format: format as PatchFormat,
  effort: effort as Effort,
  limits: DEFAULT_LIMITS,
});
