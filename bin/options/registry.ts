import { PanamaxError } from '../../lib/errors.ts';
import { REGISTRY_VARIABLES } from '../../lib/image/registry/settings.ts';
import type { Arguments, Options } from '../command.ts';

/** Connections to registries, for all commands that read images. */
export const REGISTRY_OPTIONS: Options = {
  'insecure-registry': {
    type: 'string',
    value: 'HOST',
    env: true,
    help: `use plain HTTP for HOST[:PORT],... (default: ${REGISTRY_VARIABLES.insecure})`,
  },
  'registry-ca': {
    type: 'string',
    value: 'FILE',
    env: true,
    help: `trust these certificates in addition (default: ${REGISTRY_VARIABLES.ca})`,
  },
  authfile: {
    type: 'string',
    value: 'FILE',
    env: true,
    help: `credentials, as skopeo has them (default: ${REGISTRY_VARIABLES.authFile}, else the files of docker and podman)`,
  },
  'tls-verify': {
    type: 'string',
    value: 'BOOL',
    env: true,
    choices: ['true', 'false'],
    help: `false accepts any certificate, and plain HTTP (default: ${REGISTRY_VARIABLES.tlsVerify}, else true)`,
  },
};

/** Selection of a repository's images by their tags. */
export const TAG_OPTIONS: Options = {
  tags: {
    type: 'string',
    value: 'PATTERN',
    help: "tags of docker://HOST/REPO, such as 'v*'; same as REPO:PATTERN",
  },
  last: { type: 'string', value: 'N', help: 'of the tags that match a pattern, only the N highest versions' },
};

/** Sets the options as environment variables, since threads read those. @throws PanamaxError `usage` */
export function setRegistryOptions(args: Arguments): void {
  const verify = args.text('tls-verify') ?? 'true';
  if (verify !== 'true' && verify !== 'false') {
    throw new PanamaxError('usage', '--tls-verify', { expected: 'true or false', found: verify });
  }
  for (const [option, variable] of [
    ['insecure-registry', REGISTRY_VARIABLES.insecure],
    ['registry-ca', REGISTRY_VARIABLES.ca],
    ['authfile', REGISTRY_VARIABLES.authFile],
    ['tls-verify', REGISTRY_VARIABLES.tlsVerify],
  ] as const) {
    const text = args.text(option);
    if (text !== undefined) process.env[variable] = text;
  }
}

/** The tag selection for `expandReferences`. @throws PanamaxError `usage` */
export function tagChoice(args: Arguments, signal: AbortSignal) {
  const tags = args.text('tags');
  const last = args.text('last') === undefined ? undefined : args.count('last');
  return {
    limits: args.limits,
    signal,
    ...(tags !== undefined && { tags }),
    ...(last !== undefined && { last }),
  };
}
