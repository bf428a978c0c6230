import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { toPanamaxError } from '../../errors.ts';

/** How registries are reached. */
export interface RegistrySettings {
  /** HOST[:PORT] of those that are spoken to in plain HTTP. */
  readonly insecure: ReadonlySet<string>;
  /** Certificates that are trusted; undefined for Node's own choice. */
  readonly ca?: readonly string[];
  /** Of the docker command: holds credentials. */
  readonly dockerConfig: string;
}

/** Variables, for threads and workers have no command line; options of commands set them. */
export const REGISTRY_VARIABLES = { insecure: 'REGISTRY_INSECURE', ca: 'REGISTRY_CA_FILE' } as const;

/** Reads the environment. @throws PanamaxError `not-found`, `io` for a file of certificates that cannot be read */
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
