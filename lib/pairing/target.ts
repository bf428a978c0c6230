import type { Costs } from '../delta/costs.ts';
import { patchFormats } from '../delta/formats.ts';
import { isSampled, sampleCount, similarityOf } from './compare.ts';
import { sampledCost } from './contentcost.ts';
import type { Profile } from './signature/profile.ts';
import { startOf } from './merge.ts';

/** A profile with the values that comparisons with all sources share. */
export interface Target extends Profile {
  /** Estimated bytes of each content under gzip, scaled to the actual size of the layer that has its first file. */
  readonly compressed: Float64Array;
  /** For the costs of each format those of each content with samples that has nothing in common with a source. */
  readonly known: ReadonlyMap<Costs, Float64Array>;
}

/** Size of a tar header in a compressed layer, in bytes. */
const COMPRESSED_HEADER = 40;

export function asTarget(profile: Profile): Target {
  const compressed = compressedSizes(profile);
  const known = new Map<Costs, Float64Array>();
  for (const { costs } of patchFormats()) known.set(costs, newCosts(profile, compressed, costs));
  return { ...profile, compressed, known };
}

function compressedSizes({ columns, layers }: Profile): Float64Array {
  const { sizes, densities, fileContents, firstFiles, layerEnds } = columns;
  const compressed = new Float64Array(sizes.length);
  for (const [i, { pullSize, entries }] of layers.entries()) {
    let estimate = 0;
    for (let file = startOf(layerEnds, i); file < layerEnds[i]!; file++) {
      const content = fileContents[file]!;
      estimate += sizes[content]! * densities[content]!;
    }
    const scale = Math.max(pullSize - entries * COMPRESSED_HEADER, pullSize / 2) / Math.max(estimate, 1);
    for (let file = startOf(layerEnds, i); file < layerEnds[i]!; file++) {
      const content = fileContents[file]!;
      if (firstFiles[content] !== file) continue;
      const size = sizes[content]!;
      compressed[content] = Math.min(size * densities[content]! * scale, size);
    }
  }
  return compressed;
}

function newCosts({ columns }: Profile, compressed: Float64Array, costs: Costs): Float64Array {
  return columns.sizes.map((size, content) => {
    const samples = sampleCount(columns, content);
    return isSampled(samples) ? sampledCost(size, compressed[content]!, similarityOf(0, samples), costs) : 0;
  });
}
