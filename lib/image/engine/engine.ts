import type { Digest } from '../../digest.ts';
import { type EngineTransport } from '../oci/transport.ts';

/** A local container engine, used by its command, which finds the socket, the storage and the settings. */
export interface Engine {
  readonly transport: EngineTransport;
  list(): Promise<readonly EngineImage[]>;
  /**
   * Writes an image to a new file, as an archive that `openImage` reads.
   *
   * @param image a name, or an image ID from `list`
   * @throws PanamaxError `not-found`
   */
  export(image: string, path: string): Promise<void>;
  /** Loads an archive that `docker-archive:` or `oci-archive:` has written, under the names in it. */
  load(path: string): Promise<void>;
  /** Adds a name to an image. A name of another image moves. */
  tag(image: string, name: string): Promise<void>;
  /** Has the engine pull an image from its registry. */
  pull(name: string): Promise<void>;
}

export interface EngineImage {
  /** The image ID: the config's digest. Docker with containerd's image store gives a manifest's or an index's digest. */
  readonly config: Digest;
  /** Bottom first. */
  readonly diffIDs: readonly Digest[];
  /** As the engine shows them. Empty if the image's name has moved to another image. */
  readonly names: readonly string[];
  /** Digests of the manifests and indexes that name the image in the engine. */
  readonly manifests: readonly Digest[];
}
