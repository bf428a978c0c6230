import { PanamaxError } from '../../errors.ts';
import type { Digest } from '../oci/descriptor.ts';
import type { EngineOptions } from './command.ts';
import { containerdEngine } from './containerd.ts';
import { dockerEngine } from './docker.ts';
import { podmanEngine } from './podman.ts';
import { isEngineTransport, type EngineTransport } from '../oci/transport.ts';

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

const ENGINES = {
  'docker-daemon': dockerEngine,
  'containers-storage': podmanEngine,
  containerd: containerdEngine,
} as const;

export function openEngine(transport: EngineTransport, options?: EngineOptions): Engine {
  return ENGINES[transport](options);
}

/** @throws PanamaxError `usage` for a text that is none of them; `docker` and `podman` are understood */
export function parseEngineTransport(text: string): EngineTransport {
  const transport = { docker: 'docker-daemon', podman: 'containers-storage' }[text] ?? text;
  if (isEngineTransport(transport)) return transport;
  throw new PanamaxError('usage', 'unknown engine', {
    expected: 'docker, podman or containerd',
    found: text,
  });
}
