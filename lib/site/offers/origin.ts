import type { FormatName } from '../../delta/format.ts';
import type { Digest } from '../../digest.ts';
import type { Platform } from '../../image/oci/descriptor.ts';
import type { ReleaseName } from '../../image/oci/releasename.ts';
import type { Limits } from '../../limits.ts';
import type { Attachments } from '../../store/attached/attachments.ts';
import type { AttachmentKinds } from '../../store/attached/collect.ts';
import type { ImageIdentity } from '../../store/descriptor.ts';
import type { Verify } from '../../store/key.ts';
import type { NameSite } from './accepted.ts';

/** A patch on offer. */
export interface Offer {
  readonly format: FormatName;
  readonly source: {
    readonly config: Digest;
    /** `layersDigest`; undefined if the origin does not say. */
    readonly layers?: Digest;
    /** Bottom first. */
    readonly diffIDs?: readonly Digest[];
    /** Size of its layer stream in bytes; an estimate if the origin does not say. */
    readonly size: number;
  };
  /** Bytes that `fetch` moves. */
  readonly size: number;
  /** Identifies the patch, so that a later start continues an unfinished download. */
  readonly digest: Digest;
  /** Bytes that a pull moves at a site with the source. */
  readonly pullSize: number;
  /** Looks up the patch's source, which may itself be rebuilt. Undefined if the origin cannot. */
  readonly askSource?: () => Promise<Answer | undefined>;
  /** @throws PanamaxError `untrusted` */
  verify(verify: Verify): void;
  /**
   * Downloads the patch to a file, continuing an unfinished download.
   *
   * @param partials a directory for parts of the patch
   * @throws PanamaxError `bad-patch` if the bytes differ from the digest in the patch's descriptor
   */
  fetch(path: string, partials: string, signal: AbortSignal): Promise<void>;
}

/** An image and the patches to it, as an origin lists them. */
export interface Answer {
  readonly target: ImageIdentity;
  /** Bytes that a pull moves at an empty site. */
  readonly pullSize?: number;
  /** Layers of the image; `size` is the compressed size of each in bytes, as a pull moves it. Undefined if the origin does not say. */
  readonly layers?: readonly { readonly diffID: Digest; readonly size: number }[];
  /** Undefined if the origin has no list of patches to the image. */
  readonly offers?: readonly Offer[];
  /** Reads the artifacts of the image, or of some kinds at least. Undefined if the origin has none. */
  readonly readAttachments?: (kinds: AttachmentKinds) => Promise<Attachments | undefined>;
}

/** A place that offers patches. */
export interface Origin {
  /** For messages. */
  readonly label: string;
  /** @returns a message if the origin does not know the image */
  ask(question: Question): Promise<Answer | string>;
}

/** Facts that an origin needs to list few patches. */
export interface Question {
  /** The manifest that the name stands for, if another origin has said so. */
  readonly known?: Digest;
  /** The images at the site. */
  readonly residents: readonly { readonly config: Digest; readonly diffIDs: readonly Digest[] }[];
}

/** The image that an origin is asked for. */
export interface ImageRequest {
  readonly name: ReleaseName;
  /** By default the machine's. */
  readonly platform?: Platform;
}

/** Settings of an origin. */
export interface OriginOptions extends NameSite {
  /** Whether a tag without a record is left to the engine, although `verify` is given. */
  readonly allowUnsigned?: boolean;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}
