import type { UnpackedImage } from '../lib/delta/format.ts';
import { createReadStream } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../lib/errors.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { openImage } from '../lib/image/open.ts';
import { layerSizes, unpackImage } from '../lib/image/layerstream.ts';
import { measurePullSizes } from '../lib/image/pullsize.ts';
import { imageRecord } from '../lib/image/record.ts';
import { fileOf } from './unpacked.ts';

/** Two images of the corpus by the names of their directories. */
export interface Pair {
  readonly source: string;
  readonly target: string;
}

/** The pairs that the goals are set for. */
export const DEFAULT_PAIRS: readonly Pair[] = [
  { source: 'nginx-r1', target: 'nginx-r2' },
  { source: 'nginx-r1', target: 'nginx-rebuild' },
  { source: 'node-app-r1', target: 'node-app-r2' },
  { source: 'node-app-r2', target: 'node-app-r3' },
  { source: 'node-app-r3', target: 'node-app-r4' },
  { source: 'node-app-r4', target: 'node-app-r5' },
  { source: 'postgres-r1', target: 'postgres-r2' },
  { source: 'base-bookworm', target: 'base-trixie' },
  { source: 'node-app-r4', target: 'nginx-r2' },
  { source: 'postgres-r1', target: 'nginx-r1' },
];

/** Parses `SOURCE:TARGET,SOURCE:TARGET,…`. @throws PanamaxError `usage` */
export function parsePairs(text: string): Pair[] {
  return text.split(',').map((item) => {
    const [source, target, ...rest] = item.split(':');
    if (source && target && rest.length === 0) return { source, target };
    throw new PanamaxError('usage', '--pairs', { expected: 'SOURCE:TARGET,SOURCE:TARGET,…', found: item });
  });
}

/** An image of the corpus, unpacked on scratch. */
export interface CorpusImage extends UnpackedImage {
  /** The image's OCI layout. */
  readonly layout: string;
}

export interface ImagePair {
  readonly source: CorpusImage;
  readonly target: CorpusImage;
}

/** A directory of OCI layouts with one image each. */
export interface Corpus {
  /** The unpacked image; unpacks it at the first call. */
  image(name: string): Promise<CorpusImage>;
}

/** @throws PanamaxError `not-found` if an image of a pair is missing */
export async function openCorpus(
  directory: string,
  pairs: readonly Pair[],
  scratch: string,
): Promise<Corpus> {
  const names = new Set(pairs.flatMap(({ source, target }) => [source, target]));
  for (const name of names) {
    await access(join(directory, name, 'index.json')).catch(() => {
      throw new PanamaxError('not-found', 'no such image in the corpus', {
        expected: name,
        where: directory,
      });
    });
  }
  const unpacked = new Map<string, Promise<CorpusImage>>();
  return {
    image(name) {
      const known = unpacked.get(name);
      if (known) return known;
      const image = unpack(join(directory, name), join(scratch, `image-${unpacked.size}`));
      unpacked.set(name, image);
      return image;
    },
  };
}

/** Writes the image's record and the path of its layout as JSON beside its layer stream. */
async function unpack(layout: string, path: string): Promise<CorpusImage> {
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  const stream = await unpackImage(image, path, DEFAULT_LIMITS);
  const record = imageRecord(image, layerSizes(stream), await measurePullSizes(image));
  await writeFile(`${path}.json`, JSON.stringify({ ...record, layout }));
  return { layout, record, stream, layers: image.layers };
}

/** Reads both layer streams into the page cache, so that times do not depend on the order of measurements. */
export async function warmCache({ source, target }: ImagePair): Promise<void> {
  for (const { stream } of [source, target]) {
    for await (const _ of createReadStream(fileOf(stream), { highWaterMark: 1024 ** 2 }));
  }
}
