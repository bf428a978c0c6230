import { PanamaxError } from '../../errors.ts';
import type { Texts } from '../../runtime/column.ts';
import type { Contents } from './contents.ts';
import { createDigestSet, DIGEST_SIZE } from './digestset.ts';
import { FILE_KINDS, type FileTable } from './filetable.ts';
import type { ProfileColumns } from './profile.ts';
import type { Signature } from './signature.ts';
import { columnChecks, openTable, packTable, type Scheme } from './table.ts';

/** The part of a signature that comparisons do not use: names and digests. */
export const LISTING = {
  /** Ends of the layers' files' paths in `pathBytes`. */
  pathEnds: [Uint32Array, 'files'],
  /** Ends of the flattened image's paths in `nodeBytes`. */
  nodeEnds: [Uint32Array, 'nodes'],
  /** The content of each file of the flattened image; `NONE` for other kinds. */
  nodeContents: [Uint32Array, 'nodes'],
  digests: [Uint8Array, 'contents', DIGEST_SIZE],
  /** Indices into `FILE_KINDS`. */
  nodeKinds: [Uint8Array, 'nodes'],
  pathBytes: [Uint8Array, 'pathBytes'],
  nodeBytes: [Uint8Array, 'nodeBytes'],
} as const satisfies Scheme;

const NONE = 0xffffffff;

export function packListing({
  files,
  layers,
  contents,
}: Pick<Signature, 'files' | 'layers' | 'contents'>): Buffer<ArrayBuffer> {
  const paths = joined(layers.map((layer) => layer.files.paths));
  return packTable(LISTING, {
    pathEnds: paths.ends,
    nodeEnds: files.paths.ends,
    nodeContents: contentsOf(files, contents),
    digests: contents.digests,
    nodeKinds: files.kinds,
    pathBytes: paths.bytes,
    nodeBytes: files.paths.bytes,
  });
}

/** The content of each file, by its digest. */
function contentsOf({ kinds, digests }: FileTable, contents: Contents): Uint32Array<ArrayBuffer> {
  const known = createDigestSet();
  for (let at = 0; at < contents.digests.length; at += DIGEST_SIZE) known.add(contents.digests, at);
  return Uint32Array.from(kinds, (kind, i) => {
    if (FILE_KINDS[kind] !== 'file') return NONE;
    const { index, isNew } = known.add(digests, i * DIGEST_SIZE);
    if (isNew) throw new PanamaxError('internal', 'a file without a content');
    return index;
  });
}

/** Several lists of texts as one. */
function joined(lists: readonly Texts[]): Texts {
  const bytes = Buffer.concat(lists.map((texts) => texts.bytes));
  const ends = new Uint32Array(lists.reduce((sum, list) => sum + list.ends.length, 0));
  let [start, row] = [0, 0];
  for (const list of lists) {
    for (const end of list.ends) ends[row++] = start + end;
    start += list.bytes.length;
  }
  return { bytes, ends };
}

/** The columns of a listing, checked. */
export interface Listing {
  readonly digests: Uint8Array;
  readonly files: FileTable;
  /** The paths of each layer's files. */
  readonly layerPaths: readonly Texts[];
}

/**
 * Opens the listing that belongs to a profile.
 *
 * @throws PanamaxError `bad-input`
 */
export function openListing(
  table: ArrayBufferLike,
  { sizes, fileContents, layerEnds }: ProfileColumns,
  where: string,
): Listing {
  const columns = openTable(LISTING, table, where);
  const { pathEnds, nodeEnds, nodeContents, digests, nodeKinds, pathBytes, nodeBytes } = columns;
  const checks = columnChecks(where);
  if (pathEnds.length !== fileContents.length)
    checks.refuse('pathEnds', `${fileContents.length} paths`, pathEnds.length);
  if (digests.length !== sizes.length * DIGEST_SIZE)
    checks.refuse('digests', `${sizes.length} digests`, digests.length / DIGEST_SIZE);
  checks.ends('pathEnds', pathEnds, pathBytes.length);
  checks.ends('nodeEnds', nodeEnds, nodeBytes.length);
  checks.between('nodeKinds', nodeKinds, 0, FILE_KINDS.length - 1);
  const nodeSizes = new Float64Array(nodeKinds.length);
  const nodeDigests = new Uint8Array(nodeKinds.length * DIGEST_SIZE);
  for (const [i, content] of nodeContents.entries()) {
    const isFile = FILE_KINDS[nodeKinds[i]!] === 'file';
    if (isFile ? content >= sizes.length : content !== NONE)
      checks.refuse('nodeContents', isFile ? `below ${sizes.length}` : `${NONE}`, content);
    if (!isFile) continue;
    nodeSizes[i] = sizes[content]!;
    const at = content * DIGEST_SIZE;
    nodeDigests.set(digests.subarray(at, at + DIGEST_SIZE), i * DIGEST_SIZE);
  }
  const seen = createDigestSet();
  for (let at = 0; at < digests.length; at += DIGEST_SIZE) {
    if (!seen.add(digests, at).isNew) checks.refuse('digests', 'each digest once', at / DIGEST_SIZE);
  }
  return {
    digests,
    files: {
      paths: { bytes: nodeBytes, ends: nodeEnds },
      kinds: nodeKinds,
      sizes: nodeSizes,
      digests: nodeDigests,
    },
    layerPaths: Array.from(layerEnds, (end, i) =>
      cut({ bytes: pathBytes, ends: pathEnds }, layerEnds[i - 1] ?? 0, end),
    ),
  };
}

/** The texts from `start` to before `end`. */
function cut({ bytes, ends }: Texts, start: number, end: number): Texts {
  const first = start === 0 ? 0 : ends[start - 1]!;
  const last = end === 0 ? 0 : ends[end - 1]!;
  return {
    bytes: bytes.subarray(first, Math.max(first, last)),
    ends: ends.slice(start, end).map((one) => one - first),
  };
}
