import { PanamaxError } from '../../errors.ts';
import { isEngineTransport, type EngineTransport } from '../oci/transport.ts';
import type { EngineOptions } from './command.ts';
import { containerdEngine } from './containerd.ts';
import { dockerEngine } from './docker.ts';
import type { Engine } from './engine.ts';
import { podmanEngine } from './podman.ts';

export const ENGINES = {
  'docker-daemon': dockerEngine,
  'containers-storage': podmanEngine,
  containerd: containerdEngine,
} as const;

export function openEngine(transport: EngineTransport, options?: EngineOptions): Engine {
  return ENGINES[transport](options);
}

/** Parses an engine's transport, or `docker` or `podman`. @throws PanamaxError `usage` for another text */
export function parseEngineTransport(text: string): EngineTransport {
  const transport = { docker: 'docker-daemon', podman: 'containers-storage' }[text] ?? text;
  if (isEngineTransport(transport)) return transport;
  throw new PanamaxError('usage', 'unknown engine', {
    expected: 'docker, podman or containerd',
    found: text,
  });
}
