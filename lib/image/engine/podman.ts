import { engineCommand, type EngineOptions } from './command.ts';
import { listImages } from './docker.ts';
import type { Engine } from './engine.ts';

/**
 * The containers-storage that the podman command works on. As a docker archive an image keeps its ID; podman's
 * oci-archive writes the config of a Docker image anew.
 */
export function podmanEngine(options?: EngineOptions): Engine {
  const run = engineCommand('podman', options);
  return {
    transport: 'containers-storage',
    list: () => listImages(run, 'podman'),
    export: async (image, path) =>
      void (await run('save', '-q', '--format', 'docker-archive', '-o', path, '--', bare(image))),
    load: async (path) => void (await run('load', '-q', '-i', path)),
    tag: async (image, name) => void (await run('tag', '--', bare(image), name)),
    pull: async (name) => void (await run('pull', '-q', '--', name)),
  };
}

/** podman knows image IDs without their algorithm. */
function bare(image: string): string {
  return image.replace(/^sha256:/, '');
}
