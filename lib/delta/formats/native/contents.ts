import { createOpenFiles } from '../../../runtime/space.ts';
import { layerRanges, type LayerStream } from '../../../image/layerstream.ts';
import { scanTarFileBlocking } from '../../../image/tar/file.ts';
import { DEFAULT_LIMITS } from '../../../limits.ts';
import { PanamaxError } from '../../../errors.ts';
import { numbersColumn } from '../../../runtime/column.ts';
import { BLOCK } from './headers.ts';

/** A regular file in a layer stream. */
export interface StoredFile {
  /** Of its content in the layer stream. */
  readonly offset: number;
  readonly size: number;
  readonly path: string;
  readonly kind: FileKind;
}

export type FileKind = 'elf' | 'gzip' | 'zip' | 'auxcache' | 'other';

/** Entries of a layer stream, in its order. */
export interface Contents {
  /** Files of kinds that are looked into. */
  readonly files: readonly StoredFile[];
  /** Offsets of the header blocks of all entries, and the times in them. */
  readonly headers: Float64Array;
  readonly times: Float64Array;
}

/**
 * Lists the entries of a layer stream. A layer that is no tar has none.
 *
 * @param isSkipped layers to leave out, by their index
 */
export async function listContents(
  stream: LayerStream,
  isSkipped: (layer: number) => boolean,
): Promise<Contents> {
  const found: StoredFile[] = [];
  const headers = numbersColumn();
  const times = numbersColumn();
  using files = createOpenFiles();
  const space = files.space(stream.parts);
  const magic = Buffer.alloc(4);
  for (const [i, range] of layerRanges(stream).entries()) {
    if (isSkipped(i)) continue;
    try {
      const scanned = scanTarFileBlocking(range, { limits: DEFAULT_LIMITS, where: range.path });
      for await (const { type, bodyOffset, bodySize: size, path, sparse, mtime } of scanned) {
        const offset = bodyOffset + range.shift;
        headers.push(offset - BLOCK);
        times.push(mtime);
        if (type !== 'file' || sparse || size < magic.length) continue;
        space.read(magic, offset);
        const kind = kindOf(magic);
        if (kind !== 'other') found.push({ offset, size, path, kind });
      }
    } catch (error) {
      if (!(error instanceof PanamaxError) || !['bad-input', 'limit'].includes(error.kind)) throw error;
    }
  }
  return { files: found, headers: headers.finish(), times: times.finish() };
}

function kindOf(magic: Buffer): FileKind {
  if (magic.readUInt32BE(0) === 0x7f454c46) return 'elf';
  if (magic.readUInt32BE(0) === 0x504b0304) return 'zip';
  if (magic.toString('latin1') === 'glib') return 'auxcache';
  return magic.readUIntBE(0, 3) === 0x1f8b08 ? 'gzip' : 'other';
}
