import type { Compression } from '../compression/recipe.ts';
import type { Digest } from '../digest.ts';
import type { LayerStream } from '../image/layerstream.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { Layer } from '../image/open.ts';
import type { ImageRecord } from '../image/record.ts';
import type { RootfsFiles } from '../image/rootfsfiles.ts';
import type { Limits } from '../limits.ts';
import type { Effort } from './align/alignment.ts';
import type { Costs } from './costs.ts';

/**
 * The contract of a patch format. A format is one folder below `formats/` that exports one `PatchFormat`, and one
 * entry in the list of `formats.ts`; other code asks for its traits and never compares names.
 */

/** As `--format`, descriptors and indexes spell it. Checked against the list of `formats.ts` where it is read. */
export type FormatName = string;

export interface PatchFormat {
  readonly name: FormatName;
  /** Suffix of the patch's file in a store, without the leading dot. */
  readonly suffix: string;
  readonly registry: RegistryForm;
  readonly traits: FormatTraits;
  /** For predictions; fitted to patches of effort `default`. */
  readonly costs: Costs;
  /** Size of a patch by effort, as a multiple of its size with effort `default`; measured on pairs with much new. */
  readonly sizeByEffort: Readonly<Record<Effort, number>>;
  /** Memory of a process that applies a patch, in bytes, for images of any size. */
  readonly applyMemory: number;
  /** @param head the first 512 bytes of a file, or all of a shorter one */
  recognizes(head: Buffer): boolean;
  /**
   * Reads the documents of a patch; its data is not verified.
   *
   * @param arriving reads the file from its start while it is written; for formats that read in order
   * @throws PanamaxError `bad-patch` for a damaged patch; `limit`, `not-found`, `io`
   */
  read(path: string, limits: Limits, arriving?: () => AsyncIterable<Uint8Array>): Promise<Patch>;
  /**
   * Writes a patch as a new file and applies it: the result has the target's diffIDs. Imports the encoder, so that a
   * process that only applies patches does not load it.
   *
   * @throws PanamaxError `bad-patch` where the result differs from the target
   */
  create(task: PatchTask): Promise<void>;
}

export interface FormatTraits {
  /**
   * The source is a list of layers, wherever they are: any image, or several together, that have these layers. Else
   * the source is one image, known by its image ID.
   */
  readonly combinesSources: boolean;
  /** A patch applies to a bare layer stream (`stream:FILE`), as another patch rebuilds it: patches chain. */
  readonly appliesToStream: boolean;
  /** The target is rebuilt on scratch before the image is written: the patch does not tell the layers' sizes. */
  readonly rebuildsOnScratch: boolean;
  /** A patch is read once from its start to its end, so that it can be applied while it arrives. */
  readonly readsInOrder?: true;
  /** Scratch space for making a patch at most, as a multiple of the target's layer stream. */
  readonly createScratch: number;
  /** To make a patch, the files of the source's flattened root filesystem are listed. */
  readonly listsSource?: true;
  /** Archives of images begin like a patch of this format: only `read` tells them apart. */
  readonly resemblesImage: boolean;
}

/** How a patch is stored beside its target in a registry (docs/formats.md). */
export type RegistryForm = BlobForm | ArtifactForm;

/** One layer of an artifact of panamax, whose config is the patch's descriptor. */
export interface BlobForm {
  readonly kind: 'blob';
  /** Of the layer. */
  readonly mediaType: string;
}

/**
 * An artifact that other programs read as it is. The patch's file is an OCI archive of this one artifact; the patch's
 * descriptor is in an artifact beside it.
 */
export interface ArtifactForm {
  readonly kind: 'artifact';
  readonly artifactType: string;
  /** The annotations PREFIX`.source` and PREFIX`.source-config` name the source's manifest and its image ID. */
  readonly annotationPrefix: string;
  /** Writes the archive that the artifact was pushed from, bit for bit, as a new file. */
  writeArchive(path: string, manifest: Buffer, layers: readonly ArtifactLayer[]): Promise<void>;
}

export interface ArtifactLayer {
  readonly digest: Digest;
  readonly size: number;
  /** Its bytes, verified before. */
  open(): AsyncIterable<Uint8Array>;
}

/** An opened patch. */
export interface Patch {
  readonly format: FormatName;
  readonly path: string;
  readonly source: { readonly manifest?: Digest; readonly config: Digest };
  readonly target: PatchTarget;
  /** Of the target, bottom first. */
  readonly layers: readonly PatchLayer[];
  /**
   * Checks the source, then rebuilds the target.
   *
   * @throws PanamaxError `wrong-source`, `bad-patch`, `bad-input`, `usage`, `limit`, `io`
   */
  apply(task: SourceTask, context: ApplyContext): Promise<RebuiltImage>;
}

export interface PatchTarget {
  readonly manifest: Digest;
  readonly manifestDocument: Uint8Array | string;
  /** The image ID. */
  readonly config: Digest;
  readonly configDocument: Uint8Array | string;
  /** `os/architecture[/variant]` */
  readonly platform: string;
}

export interface PatchLayer {
  readonly diffID: Digest;
  /** As the target's manifest names the layer. */
  readonly digest: Digest;
  /** Undefined where no known encoder makes the layer's bytes again. */
  readonly compression?: Compression;
  /** Uncompressed, in bytes; undefined where the format does not tell. */
  readonly size?: number;
  /** How the patch carries the layer, for people. */
  readonly kind?: string;
}

/** A target as a patch rebuilds it. */
export interface RebuiltImage {
  readonly record: ImageRecord;
  /** Its layer stream. The reader verifies it. Each piece is valid only until the next one is asked for. */
  readonly stream: AsyncIterable<Uint8Array>;
}

export interface SourceTask {
  /**
   * References of images that together have the source's layers, or `stream:FILE` for its layer stream. The traits of
   * the format tell which of these it takes.
   */
  readonly sources: readonly string[];
  /** Of the source; by default the target's. */
  readonly platform?: Platform;
}

export interface ApplyContext {
  /** A directory for layer streams. */
  readonly scratch: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/** An image and its layer stream on scratch. */
export interface UnpackedImage {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Bottom first. */
  readonly layers: readonly Pick<Layer, 'blob'>[];
}

export interface PatchSource extends Pick<UnpackedImage, 'record' | 'stream'> {
  /** Of its flattened root filesystem, where they have been listed before. */
  readonly files?: RootfsFiles;
}

/** Input of the creation of one patch. */
export interface PatchTask {
  readonly source: PatchSource;
  readonly target: UnpackedImage;
  /** The target's record with the compressions of its layers, if they are still looked for. */
  readonly record?: Promise<ImageRecord>;
  /** The file to write. */
  readonly path: string;
  /** A directory for parts of the patch. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}
