import { PanamaxError } from '../errors.ts';
import type { Upstream } from './upstream.ts';

/** Files that point an engine at a mirror. */
export interface EngineConfig {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** What the files cannot say. */
  readonly notes: readonly string[];
}

/** @param mirror URL of the mirror, without a path */
type Describe = (mirror: URL, upstreams: readonly Upstream[]) => EngineConfig;

const ENGINES: Readonly<Record<string, Describe>> = {
  /** containerd, hosts.toml (docs/hosts.md), below `config_path`. */
  containerd: (mirror, upstreams) => ({
    files: upstreams.map(({ host }) => ({
      path: `/etc/containerd/certs.d/${host}/hosts.toml`,
      text: [
        `server = "https://${host === 'docker.io' ? 'registry-1.docker.io' : host}"`,
        '',
        `[host."${mirror.origin}"]`,
        '  capabilities = ["pull", "resolve"]',
      ].join('\n'),
    })),
    notes: [
      'containerd reads the files if its config.toml has config_path = "/etc/containerd/certs.d" for the registry of CRI; ctr images pull needs --hosts-dir.',
    ],
  }),

  podman: (mirror, upstreams) => ({
    files: [
      { path: '/etc/containers/registries.conf.d/50-panamax.conf', text: registriesOf(mirror, upstreams) },
    ],
    notes: [],
  }),

  crio: (mirror, upstreams) => ({
    files: [
      { path: '/etc/containers/registries.conf.d/50-panamax.conf', text: registriesOf(mirror, upstreams) },
    ],
    notes: ['systemctl reload crio'],
  }),

  /** k3s, "Private Registry Configuration". */
  k3s: (mirror, upstreams) => ({
    files: [
      {
        path: '/etc/rancher/k3s/registries.yaml',
        text: [
          'mirrors:',
          ...upstreams.flatMap(({ host }) => [`  "${host}":`, '    endpoint:', `      - "${mirror.origin}"`]),
        ].join('\n'),
      },
    ],
    notes: ['systemctl restart k3s, or k3s-agent, on each node'],
  }),

  /** dockerd(8), registry-mirrors. */
  docker: (mirror, upstreams) => ({
    files: upstreams.some(({ host }) => host === 'docker.io')
      ? [
          {
            path: '/etc/docker/daemon.json',
            text: JSON.stringify({ 'registry-mirrors': [mirror.origin] }, null, 2),
          },
        ]
      : [],
    notes: [
      'Docker asks a mirror for images of docker.io only; for them docker.io has to be the default upstream of the address.',
      ...upstreams
        .filter(({ host }) => host !== 'docker.io')
        .map(
          ({ host }) =>
            `Other images are pulled through the name of the mirror: docker pull ${mirror.host}/${pathPart(host)}/IMAGE:TAG`,
        ),
    ],
  }),
};

/** Names for --help. */
export const ENGINE_NAMES = Object.keys(ENGINES);

/** @throws PanamaxError `usage` for an unknown engine */
export function engineConfig(engine: string, mirror: URL, upstreams: readonly Upstream[]): EngineConfig {
  const describe = Object.hasOwn(ENGINES, engine) ? ENGINES[engine] : undefined;
  if (describe) return describe(mirror, upstreams);
  throw new PanamaxError('usage', 'unknown engine', { expected: ENGINE_NAMES.join(' or '), found: engine });
}

/** containers-registries.conf(5), version 2. */
function registriesOf(mirror: URL, upstreams: readonly Upstream[]): string {
  const blocks = upstreams.map(({ host }) =>
    [
      '[[registry]]',
      `location = "${host}"`,
      '',
      '[[registry.mirror]]',
      `location = "${mirror.host}/${pathPart(host)}"`,
      ...(mirror.protocol === 'http:' ? ['insecure = true'] : []),
    ].join('\n'),
  );
  return blocks.join('\n\n');
}

/** The first part of a path that names an upstream: names of images have no colon there. */
function pathPart(host: string): string {
  return host.replace(':', '_');
}
