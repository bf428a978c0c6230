import type { Digest } from '../digest.ts';
import type { Engine } from '../image/engine/engine.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { ReleaseName } from '../image/oci/releasename.ts';
import type { Repository } from '../image/registry/registry.ts';
import type { Destination } from '../image/write/destination.ts';
import type { Limits } from '../limits.ts';
import type { VerifyCosign } from '../store/attached/cosign.ts';
import type { ImageIdentity } from '../store/descriptor.ts';
import type { NameTrust } from '../store/nametrust.ts';
import type { StoreReader } from '../store/objects/store.ts';
import type { PullPlan } from './choice/plan.ts';

export interface PullTask {
  readonly name: ReleaseName;
  readonly platform?: Platform;
  /** References of images at the site in addition to those of its engine. */
  readonly sources: readonly string[];
  /** Destination of the image, instead of the engine. */
  readonly destination?: Destination;
  /** Whether the engine pulls the image itself if no patch can be used. */
  readonly fallback: boolean;
  /**
   * Although signatures are required, the engine may pull what the tag stands for if no signed record says which image
   * that is.
   */
  readonly allowUnsigned?: boolean;
  /** An OCI layout directory to write the image's artifacts to. */
  readonly attachTo?: string;
  /** Writes layers uncompressed, which takes less time but loses the manifest digest. */
  readonly isPlain?: boolean;
  /** Reports the plan and changes nothing. */
  readonly dryRun: boolean;
}

/** Directories, limits and trusted keys of a site. Knows no engine, no store and no registry. */
export interface Workplace extends NameTrust {
  /** A directory that is kept from one start to the next: unfinished downloads, accepted names. */
  readonly state: string;
  /** A directory below which this process makes its own. */
  readonly scratch: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

export interface Site extends Workplace {
  /** Undefined if patches come from the registry only. */
  readonly openStore?: () => Promise<StoreReader>;
  /** Opens the name's repository. Undefined for a name that no registry can have. */
  readonly openRegistry?: (onBytes: (count: number) => void) => Repository;
  readonly engine?: Engine;
  /** Undefined if images need no signature of cosign. */
  readonly verifyCosign?: VerifyCosign;
  /** Called before a patch is downloaded. */
  readonly onPlan?: (plan: PullPlan) => void;
  /** Called with the number of bytes that have arrived from the store or the registry. */
  readonly onBytes?: (count: number) => void;
}

export interface PullOutcome {
  /** `none`: the image was there. `pull`: the engine pulled it. In a dry run: the planned method. */
  readonly method: 'none' | 'patch' | 'pull';
  readonly target?: { readonly manifest: Digest; readonly config: Digest };
  readonly patch?: PullPlan;
  /** Whether an image that was rebuilt from a patch has its manifest digest at the site. */
  readonly keepsManifest?: boolean;
  /** Bytes received from the store, and of documents and patches from the registry. */
  readonly movedBytes: number;
  /** Bytes that a pull moves at a site with the patch's source, or at an empty site without a patch. */
  readonly pullBytes?: number;
  /** Size of a pull by the engine, which `movedBytes` does not include. Undefined if it is not known. */
  readonly enginePull?: EnginePull;
  /** Number of artifacts of the image that were written to `attachTo`. */
  readonly attached?: number;
  /** Why patches were not used. */
  readonly reasons: readonly string[];
}

/** Bounds of the bytes that an engine pulls: engines do not report them. */
export interface EnginePull {
  /** All layers of the image, compressed, in bytes. */
  readonly most: number;
  /**
   * Layers that no image at the site had before, in bytes. An engine may fetch more, since it does not recognize every
   * layer by its content.
   */
  readonly lacking?: number;
}

/** The digests of an image that a result shows. */
export function digestsOf({ manifest, config }: ImageIdentity): { manifest: Digest; config: Digest } {
  return { manifest, config };
}

/** The name of an image in an engine, which takes tags only: a digest becomes a tag. */
export function engineName({ repository, tag, digest }: ReleaseName): string {
  return `${repository}:${tag ?? digest!.replace(':', '-')}`;
}
