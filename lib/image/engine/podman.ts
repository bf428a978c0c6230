import { engineCommand, type EngineOptions } from './command.ts';
import { listImages } from './docker.ts';
import type { Engine } from './engine.ts';

/**
 * The containers-storage of the podman command. Images are exported as docker archives, which keep the image ID:
 * podman's oci-archive rewrites the config of a Docker image.
 */
export function podmanEngine(options?: EngineOptions): Engine {
  const run = engineCommand('podman', options);
  return {
    transport: 'containers-storage',
    list: () => listImages(run, 'podman'),
    export: async (image, path) =>
      void (await run('save', '-q', '--format', 'docker-archive', '-o', path, '--', withoutAlgorithm(image))),
    load: async (path) => void (await run('load', '-q', '-i', path)),
    tag: async (image, name) => void (await run('tag', '--', withoutAlgorithm(image), name)),
    pull: async (name) => void (await run('pull', '-q', '--', name)),
  };
}

/** podman takes image IDs without the `sha256:` prefix. */
function withoutAlgorithm(image: string): string {
  return image.replace(/^sha256:/, '');
}
