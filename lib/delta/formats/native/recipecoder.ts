import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { digestOf } from '../../../digest.ts';
import { PanamaxError } from '../../../errors.ts';
import { parseConfig, parseManifest } from '../../../image/oci/manifest.ts';
import { formatPlatform } from '../../../image/oci/platform.ts';
import type { ImageRecord, LayerRecord } from '../../../image/record.ts';
import { DEFAULT_LIMITS } from '../../../limits.ts';
import { recipeDocument, type Recipe, type SourceRecord } from '../../recipe.ts';
import { BitDecoder, BitEncoder, createModels, type BitCoder } from './bitcoder.ts';
import { NumberModels } from './numbers.ts';
import { TextCoder } from './textcoder.ts';

/** How a recipe stands in a patch. Digests are most of a small one; much of the rest follows from the image's documents. */

export interface StoredRecipe {
  /** MODELLED, or BROTLI for the JSON as it is. */
  readonly coding: number;
  readonly bytes: Uint8Array;
}

export const BROTLI = 0;
export const MODELLED = 1;

const MAX_RECIPE = 16 * 1024 ** 2;
/** The coder of texts is slow, and its tables are small. */
const MAX_MODELLED = 128 * 1024;
const MAX_LAYERS = 1024;

/** @param document the recipe's JSON */
export function storeRecipe(document: Buffer): StoredRecipe {
  const modelled = document.length <= MAX_MODELLED ? modelledRecipe(document) : undefined;
  if (modelled) return { coding: MODELLED, bytes: modelled };
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: document.length };
  return { coding: BROTLI, bytes: brotliCompressSync(document, { params }) };
}

/** @throws PanamaxError `bad-patch` */
export function restoreRecipe({ coding, bytes }: StoredRecipe): Buffer {
  try {
    if (coding === BROTLI) return brotliDecompressSync(bytes, { maxOutputLength: MAX_RECIPE });
    const coder = new BitDecoder(bytes);
    const document = Buffer.from(recipeDocument(codeRecipe(coder)));
    coder.checkEnd();
    return document;
  } catch (error) {
    throw new PanamaxError('bad-patch', `a recipe that cannot be read: ${(error as Error).message}`);
  }
}

/** @returns undefined where the recipe says more than can be coded */
function modelledRecipe(document: Buffer): Uint8Array | undefined {
  try {
    const coder = new BitEncoder();
    codeRecipe(coder, JSON.parse(document.toString()) as Recipe);
    const bytes = coder.finish();
    return document.equals(restoreRecipe({ coding: MODELLED, bytes })) ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Codes a recipe in either direction. @throws Error for documents that are not those of an image */
function codeRecipe(coder: BitCoder, given?: Recipe): Recipe {
  const documents = new DocumentCoder(coder);
  const source = codeSource(documents, given?.source);
  const target = given?.target;
  const configDocument = documents.document(target?.configDocument);
  const config = documents.addDigestOf(configDocument);
  const manifestDocument = documents.document(target?.manifestDocument);
  const manifest = digestOf(manifestDocument);
  const parsed = parseManifest(Buffer.from(manifestDocument), DEFAULT_LIMITS, 'manifest');
  const { platform, diffIDs } = parseConfig(Buffer.from(configDocument), parsed, 'config');
  const layers = parsed.layers.map(({ digest, mediaType, size: stored }, i): LayerRecord => {
    const item = target?.layers[i];
    const like = source.layers[i]?.size ?? 0;
    const size = like + documents.signed(1, (item?.size ?? 0) - like);
    const pullSize = stored + documents.signed(2, (item?.pullSize ?? 0) - stored);
    const recipe = documents.text(item?.compression ? JSON.stringify(item.compression) : '');
    const compression = recipe === '' ? undefined : (JSON.parse(recipe) as LayerRecord['compression']);
    return { diffID: diffIDs[i]!, size, digest, mediaType, pullSize, ...(compression && { compression }) };
  });
  const record: ImageRecord = {
    manifest,
    manifestDocument,
    config,
    configDocument,
    platform: formatPlatform(platform),
    layers,
  };
  return { source, target: record };
}

function codeSource(documents: DocumentCoder, given: SourceRecord | undefined): SourceRecord {
  const manifest = documents.digest(given?.manifest);
  const config = documents.digest(given?.config);
  const count = documents.number(0, given?.layers.length ?? 0);
  if (count > MAX_LAYERS) throw new Error('too many layers');
  const layers = Array.from({ length: count }, (_, i) => {
    const item = given?.layers[i];
    return { diffID: documents.digest(item?.diffID), size: documents.number(3, item?.size ?? 0) };
  });
  return { manifest, config, layers };
}

/** Digits in a run of hexadecimal ones, by the character that stands for the run in a text. */
const RUNS: ReadonlyMap<string, number> = new Map([
  ['\u0001', 64],
  ['\u0002', 40],
  ['\u0003', 12],
]);
const MARKERS = new Map([...RUNS].map(([marker, size]) => [size, marker]));
const HEXADECIMAL = /(?<![0-9a-z])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{12})(?![0-9a-z])/g;
const MARKED = new RegExp(`[${[...RUNS.keys()].join('')}]`, 'g');
const SHA256 = 'sha256:';

/** Codes texts and digests; a digest that was there before costs little. */
class DocumentCoder {
  readonly #coder: BitCoder;
  readonly #texts = TextCoder.create(2 * MAX_MODELLED);
  readonly #numbers = new NumberModels(6);
  readonly #flags = createModels(8);
  readonly #known: string[] = [];
  #left = 2 * MAX_MODELLED;

  constructor(coder: BitCoder) {
    this.#coder = coder;
  }

  number(context: number, value: number): number {
    return this.#numbers.code(this.#coder, context, value);
  }

  signed(context: number, value: number): number {
    const size = this.number(context, Math.abs(value));
    if (size === 0) return 0;
    return this.#coder.bit(this.#flags, context, value < 0 ? 1 : 0) === 1 ? -size : size;
  }

  digest(given: string | undefined): `sha256:${string}` {
    return `${SHA256}${this.#run(64, given?.slice(SHA256.length))}`;
  }

  /** A text with runs of hexadecimal digits. @throws Error for one with characters that stand for them */
  document(given: string | undefined): string {
    if (given?.match(MARKED)) throw new Error('control characters in a document');
    const runs = given?.match(HEXADECIMAL) ?? [];
    const marked = this.text(given?.replace(HEXADECIMAL, (run) => MARKERS.get(run.length)!));
    let i = 0;
    return marked.replace(MARKED, (marker) => this.#run(RUNS.get(marker)!, runs[i++]));
  }

  text(given: string | undefined): string {
    const bytes = given === undefined ? undefined : Buffer.from(given);
    const size = this.number(4, bytes?.length ?? 0);
    this.#left -= size;
    if (this.#left < 0) throw new Error('a recipe too long');
    return Buffer.from(this.#texts.code(this.#coder, bytes, size)).toString();
  }

  addDigestOf(document: string): `sha256:${string}` {
    const digest = digestOf(document);
    this.#known.push(digest.slice(SHA256.length));
    return digest;
  }

  #run(size: number, given: string | undefined): string {
    const known = this.#known;
    const index = given === undefined ? -1 : known.lastIndexOf(given);
    const flag = size === 64 ? 4 : 5;
    if (this.#coder.bit(this.#flags, flag, index < 0 ? 0 : 1) === 1) {
      const back = this.number(5, index < 0 ? 0 : known.length - 1 - index);
      const run = known[known.length - 1 - back];
      if (run?.length !== size) throw new Error('an unknown digest');
      return run;
    }
    let run = '';
    for (let i = 0; i < size; i++) {
      const digit = given === undefined ? 0 : parseInt(given[i]!, 16);
      let value = 0;
      for (let bit = 3; bit >= 0; bit--) value = value * 2 + this.#coder.fixed(2 ** 15, (digit >>> bit) & 1);
      run += value.toString(16);
    }
    known.push(run);
    return run;
  }
}
