/** Measures signatures of the corpus, compared with decompression and hashing of the same layers. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hexOf, type Digest } from '../lib/digest.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage, type Image } from '../lib/image/open.ts';
import { unpackImage } from '../lib/image/layerstream.ts';
import { findCompressions } from '../lib/image/compression/find.ts';
import { computeSignature } from '../lib/pairing/signature/compute.ts';
import { imageSketchOf } from '../lib/pairing/signature/imagesketch.ts';
import type { LayerSummary } from '../lib/pairing/signature/layercolumns.ts';
import type { Signature } from '../lib/pairing/signature/signature.ts';
import { serializeSignature } from '../lib/pairing/signature/stored.ts';
import { parseLayer, serializeLayer } from '../lib/pairing/signature/storedlayer.ts';
import type { SeedImage } from './madestore.ts';

export interface SignedImage {
  readonly signature: Signature;
  /** Size of the stored signature, in bytes. */
  readonly storedSize: number;
  /** Wall time of signing. */
  readonly seconds: number;
  /** Time to find the encoders of the layers, which the first patch to a target waits for. */
  readonly findingSeconds: number;
  /** Time of `gzip -dc LAYERS | sha256sum` on one core. */
  readonly gunzipSeconds: number;
}

/** @param layout an OCI layout with one image */
export async function signImage(layout: string, scratch: string): Promise<SignedImage> {
  const image = await openLayout(layout);
  const gunzipSeconds = await measureGunzip(image, layout);
  const path = join(scratch, 'stream');
  let signature: Signature;
  const seconds = await timed(async () => {
    signature = await computeSignature(image, DEFAULT_LIMITS);
  });
  const stream = await unpackImage(image, path, DEFAULT_LIMITS);
  const findingSeconds = await timed(() => findCompressions(image.layers, stream.parts));
  await rm(path);
  const { length: storedSize } = await serializeSignature(signature!);
  return { signature: signature!, storedSize, seconds, findingSeconds, gunzipSeconds };
}

/** Sums over several images. */
export interface Signing {
  readonly seeds: readonly SeedImage[];
  /** Of the compressed layers, in bytes. */
  readonly size: number;
  readonly layers: { readonly all: number; readonly read: number };
  readonly processorSeconds: number;
  readonly wallSeconds: number;
  /** Processor time if each layer is read once. */
  readonly onceSeconds: number;
  /** Time of `gzip -dc LAYERS | sha256sum` on one core. */
  readonly gunzipSeconds: number;
}

/** @param layouts OCI layouts with one image each */
export async function measureSigning(layouts: readonly string[]): Promise<Signing> {
  const seeds: SeedImage[] = [];
  let [processor, wallSeconds, onceSeconds, gunzipSeconds, size, all] = [0, 0, 0, 0, 0, 0];
  const summaries = new Map<Digest, Buffer>();
  for (const layout of layouts) {
    const image = await openLayout(layout);
    gunzipSeconds += await measureGunzip(image, layout);
    size += image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    all += image.layers.length;
    wallSeconds += await timed(async () => {
      processor += await processorSeconds(async () => {
        const signature = await computeSignature(image, DEFAULT_LIMITS);
        seeds.push({ bytes: await serializeSignature(signature), sketch: imageSketchOf(signature) });
      });
    });
    onceSeconds += await processorSeconds(() => signOnce(image, summaries));
  }
  const layers = { all, read: summaries.size };
  return { seeds, size, layers, processorSeconds: processor, wallSeconds, onceSeconds, gunzipSeconds };
}

/** Signs an image from the stored summaries of its layers, and adds those that are missing. */
async function signOnce(image: Image, stored: Map<Digest, Buffer>): Promise<void> {
  const known: (LayerSummary | undefined)[] = [];
  for (const { diffID } of image.layers) {
    const bytes = stored.get(diffID);
    known.push(bytes && (await parseLayer(bytes, 'bench')));
  }
  const read: LayerSummary[] = [];
  const signature = await computeSignature(image, DEFAULT_LIMITS, known, (one) => void read.push(one));
  await serializeSignature(signature);
  for (const summary of read) stored.set(summary.diffID, await serializeLayer(summary));
}

function openLayout(path: string): Promise<Image> {
  return openImage({ transport: 'oci', path }, { limits: DEFAULT_LIMITS });
}

/** The time that one core takes: of two, each waits for the other at times. */
async function measureGunzip({ layers }: Image, layout: string): Promise<number> {
  const blobs = layers.map(({ descriptor }) => join(layout, 'blobs', 'sha256', hexOf(descriptor.digest)));
  const script = 'gzip -dc "$@" | sha256sum';
  const run = () => promisify(execFile)('taskset', ['-c', '0', 'sh', '-c', script, 'sh', ...blobs]);
  // a first run reads the blobs into the page cache
  await run();
  return timed(run);
}

/** Of all threads of this process. */
export async function processorSeconds(action: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return (performance.now() - started) / 1000;
}
