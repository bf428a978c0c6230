import type { FormatName } from '../../delta/format.ts';
import type { Digest } from '../../digest.ts';
import type { ImageName } from '../../store/descriptor.ts';
import type { Verify } from '../../store/key.ts';

/** A patch that a site may take, wherever it is. */
export interface Offer {
  readonly format: FormatName;
  readonly source: {
    readonly config: Digest;
    /** `layersDigest`; undefined where nobody says. */
    readonly layers?: Digest;
    /** Of its layers, bottom first. */
    readonly diffIDs?: readonly Digest[];
    /** Of its layer stream, in bytes; where nobody says, a guess. */
    readonly size: number;
  };
  /** What fetching it moves, in bytes. */
  readonly size: number;
  /** Tells it apart from others, for who comes back to what was begun. */
  readonly digest: Digest;
  /** What a pull moves at a site that has the source. */
  readonly pullSize: number;
  /** What there is of its source, which may be built, too, where the site does not have it. Undefined where that is not known. */
  readonly askSource?: () => Promise<Answer | undefined>;
  /** @throws PanamaxError `untrusted` */
  verify(verify: Verify): void;
  /**
   * Fills a file, behind what an earlier start has left there; in the end it is the very patch.
   *
   * @param partials a directory for parts of it
   */
  fetch(path: string, partials: string, signal: AbortSignal): Promise<void>;
}

/** What a store or a registry has of an image. */
export interface Answer {
  readonly target: ImageName;
  /** What a pull moves at a site that has nothing. */
  readonly pullSize?: number;
  /** Of the image, with what a pull moves for each, in bytes; undefined where that is not known. */
  readonly layers?: readonly { readonly diffID: Digest; readonly size: number }[];
  /** Undefined where it knows the image and no more. */
  readonly offers?: readonly Offer[];
}

/** A place where patches are. */
export interface Origin {
  /** For people: what has or lacks something. */
  readonly label: string;
  /** @returns for people, what it lacks, where it does not know the image at all */
  ask(): Promise<Answer | string>;
}
