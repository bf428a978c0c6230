import type { Platform } from '../image/oci/descriptor.ts';
import type { Limits } from '../limits.ts';
import type { Workplace } from '../site/site.ts';
import type { StoreReader } from '../store/objects/store.ts';
import type { NameTrust } from '../store/nametrust.ts';
import type { BlobCache } from './blobcache.ts';
import type { Link, LinkOptions } from './link.ts';
import type { Ask } from './patience.ts';
import type { Records } from './records.ts';
import type { Registries } from './registries.ts';
import type { Totals } from './totals.ts';
import type { Upstream } from './upstream.ts';

/** The methods that are used of a pino logger. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface MirrorOptions {
  readonly upstreams: readonly Upstream[];
  /** Undefined if patches come from the upstreams only. */
  readonly openStore?: (() => Promise<StoreReader>) | undefined;
  /** A directory for blobs and documents, kept from one start to the next. */
  readonly state: string;
  /** A directory below which the mirror makes its own. */
  readonly scratch: string;
  /** Requirements on the signatures of names and, with a key, of patches. */
  readonly trust: NameTrust;
  /** Of images that signed names stand for; by default the machine's. */
  readonly platform?: Platform | undefined;
  /** Most bytes of blobs to hold. */
  readonly quota?: number | undefined;
  readonly link?: LinkOptions | undefined;
  /** Most bytes of an image, and of a blob, that come from an upstream without a patch. */
  readonly maxPass?: number | undefined;
  /** Time for an answer of the store or an upstream, in milliseconds. Engines wait at least 30 s for the mirror's. */
  readonly answerTime?: number;
  /** Time without a byte of a patch after which its blobs come from the upstream, in milliseconds. */
  readonly stallTime?: number;
  readonly limits: Limits;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** State and services that the parts of a mirror share. */
export interface Context
  extends Omit<MirrorOptions, 'openStore' | 'scratch' | 'trust' | 'link' | 'answerTime'>, Workplace {
  readonly openStore: (() => Promise<StoreReader>) | undefined;
  readonly cache: BlobCache;
  readonly records: Records;
  readonly registries: Registries;
  readonly answerTime: number;
  readonly ask: Ask;
  readonly link: Link;
  readonly totals: Totals;
}
