/** Transports of engines: skopeo's (containers-transports(5)) and containerd. */
export const ENGINE_TRANSPORTS = ['docker-daemon', 'containers-storage', 'containerd'] as const;
export type EngineTransport = (typeof ENGINE_TRANSPORTS)[number];

export function isEngineTransport(transport: string): transport is EngineTransport {
  return ENGINE_TRANSPORTS.some((known) => known === transport);
}
