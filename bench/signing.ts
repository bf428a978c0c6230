import { hexOf } from '../lib/digest.ts';

/** Measures signatures of the corpus, compared with decompression and hashing of the same layers. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage, type Image } from '../lib/image/open.ts';
import { unpackImage } from '../lib/image/layerstream.ts';
import { findCompressions } from '../lib/image/compression/find.ts';
import { computeSignature } from '../lib/pairing/signature/compute.ts';
import type { Signature } from '../lib/pairing/signature/signature.ts';
import { serializeSignature } from '../lib/pairing/signature/stored.ts';

export interface SignedImage {
  readonly signature: Signature;
  /** Size of the stored signature, in bytes. */
  readonly storedSize: number;
  /** Wall time of signing. */
  readonly seconds: number;
  /** Time to find the encoders of the layers, which the first patch to a target waits for. */
  readonly findingSeconds: number;
  /** Time of `gzip -dc LAYERS | sha256sum`. */
  readonly gunzipSeconds: number;
}

/** @param layout an OCI layout with one image */
export async function signImage(layout: string, scratch: string): Promise<SignedImage> {
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  // a first run reads the blobs into the page cache
  await gunzip(image, layout);
  const gunzipSeconds = await timed(() => gunzip(image, layout));
  const path = join(scratch, 'stream');
  let signature: Signature;
  const seconds = await timed(async () => {
    signature = await computeSignature(image, DEFAULT_LIMITS);
  });
  const stream = await unpackImage(image, path, DEFAULT_LIMITS);
  const findingSeconds = await timed(() => findCompressions(image.layers, stream));
  await rm(path);
  const { length: storedSize } = await serializeSignature(signature!);
  return { signature: signature!, storedSize, seconds, findingSeconds, gunzipSeconds };
}

async function gunzip({ layers }: Image, layout: string): Promise<void> {
  const blobs = layers.map(({ descriptor }) => join(layout, 'blobs', 'sha256', hexOf(descriptor.digest)));
  await promisify(execFile)('sh', ['-c', 'gzip -dc "$@" | sha256sum', 'sh', ...blobs]);
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return (performance.now() - started) / 1000;
}
