import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { toPanamaxError } from '../../errors.ts';

export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** A refresh token (OAuth 2). */
  | { readonly kind: 'token'; readonly token: string };

/** Settings of the access to registries. */
export interface RegistrySettings {
  /** HOST[:PORT] of registries that are accessed by plain HTTP. */
  readonly insecure: ReadonlySet<string>;
  /** Trusted root certificates (PEM); undefined for Node's own list. */
  readonly ca?: readonly string[];
  /** Directory of Docker's config.json, which has credentials. */
  readonly dockerConfig: string;
  /** In place of those in files. */
  readonly credentials?: Credentials;
  /** The only file with credentials, if one is named (containers-auth.json(5)). */
  readonly authFile?: string;
  /** Files of podman and skopeo with credentials, read after Docker's. */
  readonly containersAuth?: readonly string[];
  /** Accepts any certificate, and plain HTTP from servers without TLS. */
  readonly skipsVerification?: boolean;
}

/** Environment variables that the command's options set: threads and workers have no command line. */
export const REGISTRY_VARIABLES = {
  insecure: 'REGISTRY_INSECURE',
  ca: 'REGISTRY_CA_FILE',
  authFile: 'REGISTRY_AUTH_FILE',
  tlsVerify: 'REGISTRY_TLS_VERIFY',
} as const;

/** Reads the environment. @throws PanamaxError `not-found`, `io` for an unreadable file of certificates */
export function registrySettings(env: NodeJS.ProcessEnv): RegistrySettings {
  const insecure = (env[REGISTRY_VARIABLES.insecure] ?? '').split(/[\s,]+/).filter(Boolean);
  const file = env[REGISTRY_VARIABLES.ca];
  const authFile = env[REGISTRY_VARIABLES.authFile];
  return {
    insecure: new Set(insecure.map((host) => host.toLowerCase())),
    ...(file ? { ca: [...rootCertificates, readCertificates(file)] } : {}),
    dockerConfig: env['DOCKER_CONFIG'] || join(homedir(), '.docker'),
    ...(authFile ? { authFile } : {}),
    containersAuth: containersAuth(env),
    skipsVerification: env[REGISTRY_VARIABLES.tlsVerify] === 'false',
  };
}

/** The files that `podman login` and `skopeo login` write. */
function containersAuth(env: NodeJS.ProcessEnv): string[] {
  const runtime =
    env['XDG_RUNTIME_DIR'] || (process.getuid ? `/run/containers/${process.getuid()}` : undefined);
  const directories = [
    env['XDG_RUNTIME_DIR'] ? join(runtime!, 'containers') : runtime,
    join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'containers'),
  ];
  return directories.filter((one) => one !== undefined).map((directory) => join(directory, 'auth.json'));
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw toPanamaxError(error, file);
  }
}
