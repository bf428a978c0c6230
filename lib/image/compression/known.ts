import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';

/**
 * How layers were compressed, by their digests, so that a layer of many images is looked into once; null where no
 * encoder known makes it.
 */
export type KnownCompressions = ReadonlyMap<Digest, Compression | null>;
