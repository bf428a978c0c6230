import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { PanamaxError } from '../errors.ts';
import { streamSize, type ImageRecord } from '../oci/record.ts';
import { verifyStream } from '../oci/writer.ts';
import type { Digest } from '../oci/descriptor.ts';
import type { PatchFormat } from '../store/layout.ts';
import type { Effort, LayerStream } from './alignment.ts';
import { matchStreams } from './match.ts';
import { parseRecipe, serializeRecipe, sourceRecord, type Recipe } from './recipe.ts';
import { decodeVcdiff } from './vcdiff/decode.ts';
import { readVcdiffHeader } from './vcdiff/header.ts';
import { encodeVcdiff } from './vcdiff/encode.ts';
import { fileAccess } from './vcdiff/randomaccess.ts';

/** An image and its layer stream on scratch. */
export interface UnpackedImage {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
}

export interface PatchTask {
  readonly source: UnpackedImage;
  readonly target: UnpackedImage;
  readonly format: PatchFormat;
  /** The file to write. */
  readonly path: string;
  readonly effort: Effort;
  readonly signal?: AbortSignal;
}

export interface PatchFile {
  readonly size: number;
  readonly digest: Digest;
}

/** Writes an `xdelta` patch and applies it: what comes out has the target's diffIDs, or this throws. */
export async function createPatch(task: PatchTask): Promise<PatchFile> {
  const { source, target, path } = task;
  const recipe: Recipe = { source: sourceRecord(source.record), target: target.record };
  await encode(task, serializeRecipe(recipe));
  await verifyStream(target.record, applyPatch(path, source.stream.path, recipe, task.signal));
  return { size: (await stat(path)).size, digest: await digestOfFile(path) };
}

async function encode({ source, target, path, effort, signal }: PatchTask, appHeader: string): Promise<void> {
  const options = { effort, ...(signal ? { signal } : {}) };
  const alignments = await matchStreams(source.stream, target.stream, options);
  await using sourceFile = await open(source.stream.path);
  await using targetFile = await open(target.stream.path);
  const patch = encodeVcdiff({
    ...(signal ? { signal } : {}),
    source: await fileAccess(sourceFile),
    target: await fileAccess(targetFile),
    alignments,
    appHeader: Buffer.from(appHeader),
  });
  await pipeline(patch, createWriteStream(path, { flags: 'wx' }));
}

/** Reads what a patch says of itself. @throws PanamaxError `bad-patch` */
export async function readPatch(path: string): Promise<Recipe> {
  const header = await readVcdiffHeader(createReadStream(path));
  if (!header.appHeader) throw new PanamaxError('bad-patch', 'patch without a recipe', { where: path });
  return parseRecipe(Buffer.from(header.appHeader).toString('latin1'), path);
}

/**
 * Yields the target's layer stream, not yet verified but for the patch's own checksums. Each piece is valid only
 * until the next is asked for.
 *
 * @param source path of the source's layer stream
 */
export async function* applyPatch(
  path: string,
  source: string,
  recipe: Recipe,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  await using file = await open(source);
  const options = { maxTargetSize: streamSize(recipe.target), ...(signal ? { signal } : {}) };
  yield* decodeVcdiff(createReadStream(path, { highWaterMark: 256 * 1024 }), await fileAccess(file), options);
}

/** The source has to have the very layers that the patch was made from. @throws PanamaxError `wrong-source` */
export function checkSource(recipe: Recipe, diffIDs: readonly Digest[], where: string): void {
  const expected = recipe.source.layers.map((layer) => layer.diffID);
  const wrong = expected.findIndex((diffID, i) => diffIDs[i] !== diffID);
  if (wrong < 0 && diffIDs.length === expected.length) return;
  const at = wrong < 0 ? expected.length : wrong;
  throw new PanamaxError(
    'wrong-source',
    `not the source of this patch, which is image ${recipe.source.config}`,
    {
      expected: `layer ${at} ${expected[at] ?? 'none'}`,
      found: diffIDs[at] ?? 'none',
      where,
    },
  );
}

async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 }))
    hash.update(piece as Buffer);
  return `sha256:${hash.digest('hex')}`;
}
