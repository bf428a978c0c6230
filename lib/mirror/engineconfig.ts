import { PanamaxError } from '../errors.ts';
import type { Upstream } from './upstream.ts';

/** Files that point an engine at a mirror. */
export interface EngineConfig {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** What the files cannot say. */
  readonly notes: readonly string[];
}

export interface EngineConfigOptions {
  /** URL without a path. */
  readonly mirror: URL;
  readonly upstreams: readonly Upstream[];
  /** Whether the engine asks the registry itself if the mirror refuses or is down. */
  readonly fallback: boolean;
}

type Describe = (options: EngineConfigOptions) => EngineConfig;

const ENGINES: Readonly<Record<string, Describe>> = {
  /** containerd, hosts.toml (docs/hosts.md), below `config_path`. */
  containerd: ({ mirror, upstreams, fallback }) => ({
    files: upstreams.map(({ host }) => ({
      path: `/etc/containerd/certs.d/${host}/hosts.toml`,
      text: [
        // the last host that containerd asks; without the line it is the registry
        `server = "${fallback ? `https://${host === 'docker.io' ? 'registry-1.docker.io' : host}` : mirror.origin}"`,
        '',
        `[host."${mirror.origin}"]`,
        '  capabilities = ["pull", "resolve"]',
      ].join('\n'),
    })),
    notes: [
      'containerd reads the files if its config.toml has config_path = "/etc/containerd/certs.d" for the registry of CRI; ctr images pull needs --hosts-dir.',
    ],
  }),

  podman: (options) => ({ files: [registriesOf(options)], notes: [] }),

  crio: (options) => ({ files: [registriesOf(options)], notes: ['systemctl reload crio'] }),

  /** k3s, "Private Registry Configuration". */
  k3s: ({ mirror, upstreams, fallback }) => ({
    files: [
      {
        path: '/etc/rancher/k3s/registries.yaml',
        text: [
          'mirrors:',
          ...upstreams.flatMap(({ host }) => [`  "${host}":`, '    endpoint:', `      - "${mirror.origin}"`]),
        ].join('\n'),
      },
      ...(fallback
        ? []
        : [
            {
              path: '/etc/rancher/k3s/config.yaml.d/50-panamax.yaml',
              text: 'disable-default-registry-endpoint: true',
            },
          ]),
    ],
    notes: [
      'systemctl restart k3s, or k3s-agent, on each node',
      ...(fallback
        ? []
        : ['disable-default-registry-endpoint needs k3s 1.26.13, 1.27.10, 1.28.6, 1.29.1 or later.']),
    ],
  }),

  /** dockerd(8), registry-mirrors. */
  docker: ({ mirror, upstreams, fallback }) => ({
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
      ...(fallback
        ? []
        : [
            'Docker cannot be kept from asking docker.io itself after a mirror; images under the name of the mirror come from nowhere else.',
          ]),
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
export function engineConfig(engine: string, options: EngineConfigOptions): EngineConfig {
  const describe = Object.hasOwn(ENGINES, engine) ? ENGINES[engine] : undefined;
  if (describe) return describe(options);
  throw new PanamaxError('usage', 'unknown engine', { expected: ENGINE_NAMES.join(' or '), found: engine });
}

/** containers-registries.conf(5), version 2. Without a fallback the mirror is the location of the registry's images. */
function registriesOf({ mirror, upstreams, fallback }: EngineConfigOptions): EngineConfig['files'][number] {
  const insecure = mirror.protocol === 'http:' ? ['insecure = true'] : [];
  const blocks = upstreams.map(({ host }) => {
    const location = `location = "${mirror.host}/${pathPart(host)}"`;
    const lines = fallback
      ? [`location = "${host}"`, '', '[[registry.mirror]]', location]
      : [`prefix = "${host}"`, location];
    return ['[[registry]]', ...lines, ...insecure].join('\n');
  });
  return { path: '/etc/containers/registries.conf.d/50-panamax.conf', text: blocks.join('\n\n') };
}

/** The first part of a path that names an upstream: names of images have no colon there. */
function pathPart(host: string): string {
  return host.replace(':', '_');
}
