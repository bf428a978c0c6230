import { asRecord, parseDocument } from '../../json.ts';
import { spawn } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { PanamaxError } from '../../errors.ts';
import type { Credentials, RegistrySettings } from './settings.ts';

/** Name of docker.io's registry in Docker's files. */
const DOCKER_HUB = 'https://index.docker.io/v1/';
const HELPER_NAME = /^[\w.-]+$/;
const HELPER_TIMEOUT = 60_000;

/**
 * Looks up credentials: the given ones, else in the file of `authFile` alone if there is one, else in Docker's, then in those of podman and
 * skopeo.
 *
 * @param repository the path in the registry, which entries of podman and skopeo may name
 * @throws PanamaxError as `findCredentials`
 */
export async function lookUpCredentials(
  { credentials, authFile, dockerConfig, containersAuth = [] }: RegistrySettings,
  registry: string,
  repository: string | undefined,
): Promise<Credentials | undefined> {
  if (credentials) return credentials;
  if (authFile !== undefined) {
    await stat(authFile).catch((error: NodeJS.ErrnoException) => {
      throw new PanamaxError('io', `credentials cannot be read: ${error.code}`, { where: authFile });
    });
  }
  const files = authFile === undefined ? [join(dockerConfig, 'config.json'), ...containersAuth] : [authFile];
  for (const file of files) {
    const found = await findInFile(file, registry, repository);
    if (found) return found;
  }
  return undefined;
}

/**
 * Looks up the credentials that the docker command uses for a registry: from the registry's own helper, the default
 * helper, or `config.json` itself (docker-login(1)).
 *
 * @param directory the one with Docker's config.json
 * @returns undefined without credentials: the access is anonymous
 * @throws PanamaxError `io` for a helper or a file that fails; its message never contains a secret
 */
export function findCredentials(directory: string, registry: string): Promise<Credentials | undefined> {
  return findInFile(join(directory, 'config.json'), registry, undefined);
}

async function findInFile(
  path: string,
  registry: string,
  repository: string | undefined,
): Promise<Credentials | undefined> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw new PanamaxError('io', `credentials cannot be read: ${error.code}`, { where: path });
  });
  if (!bytes) return undefined;
  const config = asRecord(readConfig(bytes, path), path);
  const names = registry === 'docker.io' ? [DOCKER_HUB, 'docker.io'] : [registry, `https://${registry}`];
  const helpers = optionalRecord(config['credHelpers'], path);
  for (const name of names) {
    const helper = helpers[name];
    if (typeof helper === 'string') return askHelper(helper, name);
  }
  if (typeof config['credsStore'] === 'string' && config['credsStore']) {
    for (const name of names) {
      const found = await askHelper(config['credsStore'], name);
      if (found) return found;
    }
  }
  const auths = optionalRecord(config['auths'], path);
  const parts = repository?.split('/') ?? [];
  // the entry of the repository or of the closest namespace above it comes first
  const spaces = parts.map((_, i) => [registry, ...parts.slice(0, parts.length - i)].join('/'));
  for (const name of [...spaces, ...names, ...names.map((name) => `${name}/`), `https://${registry}/v2/`]) {
    if (auths[name] !== undefined) return parseAuth(optionalRecord(auths[name], path), path);
  }
  return undefined;
}

/** The message does not quote a damaged file, which may contain a password. */
function readConfig(bytes: Buffer, path: string): unknown {
  try {
    return parseDocument(bytes, path);
  } catch {
    throw new PanamaxError('io', 'credentials cannot be read: not a JSON document', { where: path });
  }
}

function optionalRecord(value: unknown, where: string): Record<string, unknown> {
  return value === undefined || value === null ? {} : asRecord(value, where);
}

function parseAuth(entry: Record<string, unknown>, where: string): Credentials | undefined {
  const { auth, username, password, identitytoken } = entry;
  if (typeof identitytoken === 'string' && identitytoken) return { kind: 'token', token: identitytoken };
  if (typeof username === 'string' && username && typeof password === 'string') {
    return { kind: 'password', username, password };
  }
  if (typeof auth !== 'string' || !auth) return undefined;
  const plain = Buffer.from(auth, 'base64').toString();
  const colon = plain.indexOf(':');
  if (colon < 1) throw new PanamaxError('io', 'credentials make no sense', { where });
  return {
    kind: 'password',
    username: plain.slice(0, colon),
    password: plain.slice(colon + 1).replace(/\0+$/, ''),
  };
}

/** Runs a helper (docker-credential-helpers): `get` with the server's name on stdin answers a JSON document. */
async function askHelper(helper: string, server: string): Promise<Credentials | undefined> {
  const program = `docker-credential-${helper}`;
  const failed = (why: string) => new PanamaxError('io', `credential helper: ${why}`, { where: program });
  if (!HELPER_NAME.test(helper)) throw failed('no such name');
  const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout: HELPER_TIMEOUT });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(failed((error as NodeJS.ErrnoException).code ?? 'cannot be run')));
    child.once('close', resolve);
  });
  child.stdin.on('error', () => {});
  child.stdin.end(server);
  const [output, code] = await Promise.all([text(child.stdout), ended]);
  if (code !== 0) {
    // the protocol has no exit code for missing credentials
    if (/credentials not found/i.test(output)) return undefined;
    throw failed(`ended with ${code}`);
  }
  let answer: Record<string, unknown>;
  try {
    answer = asRecord(JSON.parse(output), program);
  } catch {
    throw failed('answers no JSON document');
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== 'string' || typeof secret !== 'string') throw failed('answers no credentials');
  if (username === '<token>') return { kind: 'token', token: secret };
  return { kind: 'password', username, password: secret };
}
