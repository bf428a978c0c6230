import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';

/**
 * Compressions by layer digest, so that a layer that many images share is searched once; null if no known encoder makes
 * the layer.
 */
export type KnownCompressions = ReadonlyMap<Digest, Compression | null>;
