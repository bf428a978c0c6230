import { parseDigest, type Digest } from '../digest.ts';
import { asArray, asRecord, asSize, parseDocument } from '../json.ts';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../errors.ts';
import { parseImageRecord, type ImageRecord } from '../image/record.ts';

const RECIPE_VERSION = 1;
const MAX_RECIPE_SIZE = 16 * 1024 ** 2;

/** Data beyond the layer stream that a site needs to rebuild a target; stored inside the patch (docs/formats.md). */
export interface Recipe {
  readonly source: SourceRecord;
  readonly target: ImageRecord;
}

/** The source image of a patch. Every image with these diffIDs has the same layer stream. */
export interface SourceRecord {
  readonly manifest: Digest;
  /** The image ID. */
  readonly config: Digest;
  readonly layers: readonly { readonly diffID: Digest; readonly size: number }[];
}

export function sourceRecord({ manifest, config, layers }: ImageRecord): SourceRecord {
  return { manifest, config, layers: layers.map(({ diffID, size }) => ({ diffID, size })) };
}

export function recipeDocument(recipe: Recipe): string {
  return JSON.stringify({ version: RECIPE_VERSION, ...recipe });
}

/** JSON, compressed by zstd with a checksum, in base64url: `xdelta3` splits an application header at each `/`. */
export function serializeRecipe(recipe: Recipe): string {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  return zstdCompressSync(recipeDocument(recipe), { params }).toString('base64url');
}

/** @throws PanamaxError `bad-patch` */
export function parseRecipe(text: string, where: string): Recipe {
  const read = () => zstdDecompressSync(Buffer.from(text, 'base64url'), { maxOutputLength: MAX_RECIPE_SIZE });
  return parseRecipeDocument(read, where);
}

/** @param read returns the JSON, or throws. @throws PanamaxError `bad-patch` */
export function parseRecipeDocument(read: () => Buffer, where: string): Recipe {
  try {
    const record = asRecord(parseDocument(read(), where), where);
    if (record['version'] !== RECIPE_VERSION) {
      throw new PanamaxError('bad-patch', 'unknown recipe version', {
        expected: RECIPE_VERSION,
        found: JSON.stringify(record['version']),
        where,
      });
    }
    return {
      source: parseSource(record['source'], where),
      target: parseImageRecord(record['target'], where),
    };
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-patch') throw error;
    throw new PanamaxError('bad-patch', `patch without a recipe of panamax: ${(error as Error).message}`, {
      where,
    });
  }
}

function parseSource(value: unknown, where: string): SourceRecord {
  const record = asRecord(value, `${where} source`);
  return {
    manifest: parseDigest(record['manifest'], `${where} source manifest`),
    config: parseDigest(record['config'], `${where} source config`),
    layers: asArray(record['layers'], `${where} source layers`).map((item) => {
      const layer = asRecord(item, `${where} source layer`);
      return {
        diffID: parseDigest(layer['diffID'], `${where} source layer`),
        size: asSize(layer['size'], `${where} source layer`),
      };
    }),
  };
}
