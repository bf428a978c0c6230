/** Patches of the format `panamax` between layer streams, without images around them. */
import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Effort } from '../../lib/delta/align/alignment.ts';
import { decodeNative } from '../../lib/delta/formats/native/decode.ts';
import { encodeNative } from '../../lib/delta/formats/native/encode.ts';
import { planPatch } from '../../lib/delta/formats/native/plan.ts';
import type { Digest } from '../../lib/digest.ts';
import { streamInFile } from '../../lib/image/layerstream.ts';
import { temporaryDirectory } from './directory.ts';
import type { Scope } from './scope.ts';

/** Two layer streams on disk. */
export interface NativePair {
  readonly target: Buffer;
  encode(options?: { readonly effort?: Effort; readonly threads?: number }): Promise<Buffer>;
  decode(patch: Uint8Array, threads?: number): Promise<Buffer>;
}

export async function nativePair(
  scope: Scope,
  source: readonly Buffer[],
  target: readonly Buffer[],
): Promise<NativePair> {
  const directory = await temporaryDirectory(scope);
  const from = await store(join(directory, 'source'), source);
  const to = await store(join(directory, 'target'), target);
  let runs = 0;

  async function inScratch<Result>(work: (scratch: string) => Promise<Result>): Promise<Result> {
    const scratch = join(directory, `scratch-${++runs}`);
    await mkdir(scratch);
    try {
      return await work(scratch);
    } finally {
      await rm(scratch, { recursive: true });
    }
  }

  return {
    target: to.bytes,
    encode: ({ effort = 'default', threads = 0 } = {}) =>
      inScratch(async (scratch) => {
        const planned = await planPatch(from, to, { scratch, effort });
        const recipe = Buffer.from('{}');
        return collect(encodeNative({ ...planned, recipe, target: to.stream.parts, effort, threads }));
      }),
    decode: (patch, threads = 0) =>
      inScratch(async (scratch) => {
        const options = { source: from.stream.parts, targetSize: to.bytes.length, scratch };
        return collect(decodeNative(pieces(patch), { ...options, threads }));
      }),
  };
}

async function store(path: string, layers: readonly Buffer[]) {
  const bytes = Buffer.concat(layers);
  await writeFile(path, bytes);
  const digests = layers.map((layer): Digest => `sha256:${createHash('sha256').update(layer).digest('hex')}`);
  return {
    bytes,
    record: { layers: digests.map((diffID) => ({ diffID })) as never },
    stream: streamInFile(
      path,
      layers.map(({ length }) => length),
    ),
  };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of stream) parts.push(Buffer.from(piece));
  return Buffer.concat(parts);
}
