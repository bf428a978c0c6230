import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { LayerStream } from '../delta/alignment.ts';
import type { Limits } from '../limits.ts';
import type { Image } from '../oci/image.ts';
import type { Digest } from '../oci/descriptor.ts';
import { openSpool } from '../oci/layerstream.ts';
import { measurePullSizes } from '../oci/pullsize.ts';
import { imageRecord } from '../oci/record.ts';
import { createRootfs, type RootfsItem } from '../oci/rootfs.ts';
import type { TarEntry } from '../tar/entry.ts';
import { createExpander } from '../tar/expand.ts';
import { scanTar } from '../tar/scan.ts';
import { contentDigest, fileTable, type Content } from './filetable.ts';
import { createContentSketcher, type ContentSketch, type ContentSketcher } from './contentsketch.ts';
import type { ContentRecord, LayerFile, LayerSketch, Signature } from './signature.ts';
import { createStreamTlsh, type StreamTlsh } from './streamtlsh.ts';

/** Content of a regular file, and what is needed to read it again. */
interface StoredContent extends Content {
  readonly entry: TarEntry;
  readonly sketch: ContentSketch;
}

/**
 * Reads an image once, layer by layer, into its signature. Uses a scratch file of the size of the layer stream,
 * which is gone afterwards.
 *
 * @param room for the scratch file, in bytes
 * @throws PanamaxError `bad-input`, `limit`, `io`
 */
export async function computeSignature(
  image: Image,
  scratchPath: string,
  limits: Limits,
  room = limits.maxImageSize,
): Promise<Signature> {
  // neither may still be at work, on scratch, when this returns
  const [read, pullSizes] = await Promise.allSettled([
    readImage(image, scratchPath, limits, room),
    measurePullSizes(image),
  ]);
  if (read.status === 'rejected') throw read.reason;
  if (pullSizes.status === 'rejected') throw pullSizes.reason;
  const { layerSizes, ...content } = read.value;
  return { image: imageRecord(image, layerSizes, pullSizes.value), ...content };
}

async function readImage(
  image: Image,
  scratchPath: string,
  limits: Limits,
  room: number,
): Promise<Omit<Signature, 'image'> & Pick<LayerStream, 'layerSizes'>> {
  try {
    const maxImageSize = Math.min(room, limits.maxImageSize);
    await using spool = await openSpool(image, scratchPath, { ...limits, maxImageSize });
    await using tlsh = createStreamTlsh(scratchPath);
    const rootfs = createRootfs<StoredContent>(limits);
    const contents = new Map<Digest, number>();
    const records: ContentRecord[] = [];
    const layers: Omit<LayerSketch, 'tlsh'>[] = [];
    const stored: StoredContent[] = [];
    const tlshs: Promise<string | null>[] = [];
    for (const layer of image.layers) {
      const where = `${image.reference} layer ${layer.descriptor.digest}`;
      const start = spool.layerSizes.reduce((sum, size) => sum + size, 0);
      const files: LayerFile[] = [];
      let entries = 0;
      rootfs.beginLayer(where);
      for await (const { entry, content } of readEntries(spool.add(layer), start, tlsh, { limits, where })) {
        rootfs.add(entry, content);
        entries++;
        if (!content) continue;
        stored.push(content);
        const { digest, sketch } = content;
        let index = contents.get(digest);
        if (index === undefined) {
          index = records.push({ digest, size: entry.size, ...sketch }) - 1;
          contents.set(digest, index);
        }
        files.push({ path: entry.path, content: index });
      }
      tlshs.push(tlsh.endLayer());
      layers.push({ entries, files });
    }
    const items = rootfs.nodes();
    const inodes = new Set(items.map(({ node }) => node).filter((node) => node.type === 'file'));
    let contentSize = 0;
    for (const node of inodes) contentSize += node.size;
    const { layerSizes } = spool;
    return {
      layerSizes,
      contentDigest: contentDigest(items),
      contentSize,
      files: fileTable(items),
      tlsh: await tlshOf(items, stored, tlsh),
      layers: await Promise.all(layers.map(async (layer, i) => ({ tlsh: await tlshs[i]!, ...layer }))),
      contents: records,
    };
  } finally {
    await rm(scratchPath, { force: true });
  }
}

interface ReadEntry {
  readonly entry: TarEntry;
  /** Of a regular file. */
  readonly content?: StoredContent;
}

/** Reads the entries of a tar that starts at `start` of the layer stream, with the digests of files. */
async function* readEntries(
  tar: AsyncIterable<Uint8Array>,
  start: number,
  tlsh: StreamTlsh,
  options: { limits: Limits; where: string },
): AsyncGenerator<ReadEntry, void, void> {
  const sketcher = createContentSketcher();
  let current: FileReader | undefined;
  for await (const event of scanTar(tar, options)) {
    if (event.kind === 'data') {
      current?.push(event.data);
      continue;
    }
    if (current) yield { entry: current.entry, content: current.finish() };
    current = event.entry.type === 'file' ? readFile(event.entry, start, sketcher, tlsh) : undefined;
    if (!current) yield { entry: event.entry };
  }
  if (current) yield { entry: current.entry, content: current.finish() };
}

interface FileReader {
  readonly entry: TarEntry;
  push(data: Uint8Array): void;
  finish(): StoredContent;
}

function readFile(entry: TarEntry, start: number, sketcher: ContentSketcher, tlsh: StreamTlsh): FileReader {
  const hash = createHash('sha256');
  const expander = createExpander(entry, (bytes) => {
    hash.update(bytes);
    sketcher.update(bytes);
  });
  const offset = start + entry.bodyOffset;
  let stored = 0;
  return {
    entry,
    push(data) {
      expander.push(data);
      if (!entry.sparse) tlsh.add(offset + stored, data.length);
      stored += data.length;
    },
    finish() {
      expander.end();
      if (entry.sparse) tlsh.addFile({ entry, offset });
      else tlsh.endFile();
      const digest = `sha256:${hash.digest('hex')}` as const;
      return {
        digest,
        offset,
        storedSize: entry.bodySize,
        entry,
        sketch: sketcher.finish(),
      };
    },
  };
}

/**
 * TLSH over the contents of the regular files in path order, each inode once.
 *
 * @param stored all that were read
 */
function tlshOf(
  items: readonly RootfsItem<StoredContent>[],
  stored: readonly StoredContent[],
  tlsh: StreamTlsh,
): Promise<string | null> {
  const seen = new Set(items.flatMap(({ node }) => node.content ?? []));
  return tlsh.reordered(
    seen,
    stored.filter((content) => !seen.has(content)),
  );
}
