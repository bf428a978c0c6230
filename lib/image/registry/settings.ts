import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { toPanamaxError } from '../../errors.ts';

/** Settings of the access to registries. */
export interface RegistrySettings {
  /** HOST[:PORT] of registries that are accessed by plain HTTP. */
  readonly insecure: ReadonlySet<string>;
  /** Trusted root certificates (PEM); undefined for Node's own list. */
  readonly ca?: readonly string[];
  /** Directory of Docker's config.json, which has credentials. */
  readonly dockerConfig: string;
}

/** Environment variables that the command's options set: threads and workers have no command line. */
export const REGISTRY_VARIABLES = { insecure: 'REGISTRY_INSECURE', ca: 'REGISTRY_CA_FILE' } as const;

/** Reads the environment. @throws PanamaxError `not-found`, `io` for an unreadable file of certificates */
export function registrySettings(env: NodeJS.ProcessEnv): RegistrySettings {
  const insecure = (env[REGISTRY_VARIABLES.insecure] ?? '').split(/[\s,]+/).filter(Boolean);
  const file = env[REGISTRY_VARIABLES.ca];
  return {
    insecure: new Set(insecure.map((host) => host.toLowerCase())),
    ...(file ? { ca: [...rootCertificates, readCertificates(file)] } : {}),
    dockerConfig: env['DOCKER_CONFIG'] || join(homedir(), '.docker'),
  };
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw toPanamaxError(error, file);
  }
}
