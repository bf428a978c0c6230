import type { Digest } from '../../digest.ts';
import { type EngineTransport } from '../oci/transport.ts';

/** A local container engine, by its own command line: that finds its socket, its storage and its settings. */
export interface Engine {
  readonly transport: EngineTransport;
  list(): Promise<readonly EngineImage[]>;
  /**
   * Writes an archive of an image that `openImage` reads to a new file.
   *
   * @param image a name, or an image ID of `list`
   * @throws PanamaxError `not-found`
   */
  export(image: string, path: string): Promise<void>;
  /** Takes an archive as `docker-archive:` and `oci-archive:` write it, under the names that are in it. */
  load(path: string): Promise<void>;
  /** Names an image that is there; the name may have been another's. */
  tag(image: string, name: string): Promise<void>;
  /** Lets the engine pull from the image's registry. */
  pull(name: string): Promise<void>;
}

export interface EngineImage {
  /** The image ID, which is the config's digest; in Docker with containerd's image store that of a manifest or an index. */
  readonly config: Digest;
  /** Of the layers uncompressed, bottom first. */
  readonly diffIDs: readonly Digest[];
  /** As the engine shows them; none for an image that lost its name to another. */
  readonly names: readonly string[];
  /** Of manifests and indexes that the engine knows the image by. */
  readonly manifests: readonly Digest[];
}
