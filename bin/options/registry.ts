import { REGISTRY_VARIABLES } from '../../lib/image/registry/settings.ts';
import type { Arguments, Options } from '../command.ts';

/** How registries are reached: for all commands that read images. */
export const REGISTRY_OPTIONS: Options = {
  'insecure-registry': {
    type: 'string',
    value: 'HOST',
    help: `speak plain HTTP to HOST[:PORT],... (default: ${REGISTRY_VARIABLES.insecure})`,
  },
  'registry-ca': {
    type: 'string',
    value: 'FILE',
    help: `trust these certificates, too (default: ${REGISTRY_VARIABLES.ca})`,
  },
};

/** Which of a repository's images are meant. */
export const TAG_OPTIONS: Options = {
  tags: {
    type: 'string',
    value: 'PATTERN',
    help: "of docker://HOST/REPO, such as 'v*'; or write REPO:PATTERN",
  },
  last: { type: 'string', value: 'N', help: 'of a pattern of tags, only the N highest versions' },
};

/** Threads know the environment only. */
export function setRegistryOptions(args: Arguments): void {
  for (const [option, variable] of [
    ['insecure-registry', REGISTRY_VARIABLES.insecure],
    ['registry-ca', REGISTRY_VARIABLES.ca],
  ] as const) {
    const text = args.text(option);
    if (text !== undefined) process.env[variable] = text;
  }
}

/** For `expandReferences`. @throws PanamaxError `usage` */
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
