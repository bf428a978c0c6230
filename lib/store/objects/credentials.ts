import { readFile } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';
import { readProfile } from './awsprofile.ts';
import { createRoleKeys, type WebIdentity } from './webidentity.ts';

/** Address and keys of an S3 server. */
export interface S3Access {
  readonly endpoint: URL;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of temporary keys. */
  readonly sessionToken?: string;
  /** Gives valid keys in place of these, which end. */
  readonly renew?: () => Promise<Keys>;
}

export type Keys = Pick<S3Access, 'accessKey' | 'secretKey' | 'sessionToken'>;

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_REGION = 'us-east-1';

/**
 * Reads `S3_ENDPOINT`, `S3_REGION` (default us-east-1), `S3_ACCESS_KEY`, `S3_SECRET_KEY`, and, for temporary keys,
 * `S3_SESSION_TOKEN`. A variable with `_FILE` appended names a file that contains the key instead. Without these keys
 * those of AWS programs are taken: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, else those of the role
 * `AWS_ROLE_ARN` with the token in `AWS_WEB_IDENTITY_TOKEN_FILE`, else a profile's (`readProfile`). Without an endpoint and a region: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`,
 * `AWS_DEFAULT_REGION`, the profile's, and for keys of AWS that region's server.
 *
 * @throws PanamaxError `usage`, for a role also `not-found` and `io`; its message never contains a key
 */
export async function readS3Access(environment: Environment): Promise<S3Access> {
  const own = ['S3_ACCESS_KEY', 'S3_SECRET_KEY'].some(
    (name) => environment[name] || environment[`${name}_FILE`],
  );
  if (own) {
    const endpoint = required(environment['S3_ENDPOINT'], 'S3_ENDPOINT');
    const hasToken = environment['S3_SESSION_TOKEN'] || environment['S3_SESSION_TOKEN_FILE'];
    return {
      endpoint: parseEndpoint(endpoint, 'S3_ENDPOINT'),
      region: environment['S3_REGION'] || DEFAULT_REGION,
      accessKey: await secret(environment, 'S3_ACCESS_KEY'),
      secretKey: await secret(environment, 'S3_SECRET_KEY'),
      ...(hasToken && { sessionToken: await secret(environment, 'S3_SESSION_TOKEN') }),
    };
  }
  return readAwsAccess(environment);
}

async function readAwsAccess(environment: Environment): Promise<S3Access> {
  const identity = environment['AWS_ACCESS_KEY_ID'] ? undefined : findIdentity(environment);
  if (identity) {
    const renew = createRoleKeys(identity);
    const { accessKey, secretKey, sessionToken } = await renew();
    const [place, region] = placeOf(environment, new Map());
    return { endpoint: place, region, accessKey, secretKey, sessionToken, renew };
  }
  const profile = await readProfile(environment);
  const [endpoint, region] = placeOf(environment, profile);
  // keys of the environment go with its token, those of a profile with the profile's
  const isOfEnvironment = Boolean(environment['AWS_ACCESS_KEY_ID'] || environment['AWS_SECRET_ACCESS_KEY']);
  const value = (name: string) =>
    (isOfEnvironment ? environment[name] : profile.get(name.toLowerCase())) || undefined;
  const accessKey = required(value('AWS_ACCESS_KEY_ID'), 'S3_ACCESS_KEY or AWS_ACCESS_KEY_ID');
  const secretKey = required(value('AWS_SECRET_ACCESS_KEY'), 'AWS_SECRET_ACCESS_KEY');
  const sessionToken = value('AWS_SESSION_TOKEN');
  return {
    endpoint,
    region,
    accessKey,
    secretKey,
    ...(sessionToken && { sessionToken }),
  };
}

/** The address and the region of a store with the keys of AWS programs. */
function placeOf(environment: Environment, profile: ReadonlyMap<string, string>): [URL, string] {
  const named = ['S3_ENDPOINT', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'].find((name) => environment[name]);
  const region = regionOf(environment) || profile.get('region') || DEFAULT_REGION;
  const endpoint =
    (named && environment[named]) || profile.get('endpoint_url') || `https://s3.${region}.amazonaws.com`;
  return [parseEndpoint(endpoint, named ?? 'the S3 endpoint'), region];
}

function regionOf(environment: Environment): string | undefined {
  return environment['S3_REGION'] || environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'];
}

/** The role that a token may take; its variables are those that Kubernetes sets for a service account (IRSA). */
function findIdentity(environment: Environment): WebIdentity | undefined {
  const [role, tokenFile] = [environment['AWS_ROLE_ARN'], environment['AWS_WEB_IDENTITY_TOKEN_FILE']];
  if (!tokenFile) return undefined;
  const name = ['AWS_ENDPOINT_URL_STS', 'AWS_ENDPOINT_URL'].find((one) => environment[one]);
  const region = regionOf(environment) || DEFAULT_REGION;
  const address = (name && environment[name]) || `https://sts.${region}.amazonaws.com`;
  return {
    role: required(role, 'AWS_ROLE_ARN'),
    tokenFile,
    session: environment['AWS_ROLE_SESSION_NAME'] || 'panamax',
    endpoint: parseEndpoint(address, name ?? 'the STS endpoint'),
  };
}

function parseEndpoint(text: string, name: string): URL {
  const endpoint = URL.parse(text);
  if (endpoint && /^https?:$/.test(endpoint.protocol) && !endpoint.username && endpoint.pathname === '/') {
    return endpoint;
  }
  throw new PanamaxError('usage', name, { expected: 'http[s]://HOST[:PORT]', found: 'something else' });
}

async function secret(environment: Environment, name: string): Promise<string> {
  const file = environment[`${name}_FILE`];
  if (file === undefined) return required(environment[name], name);
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new PanamaxError('usage', `${name}_FILE cannot be read`, { where: file }, { cause: error });
  }
}

function required(value: string | undefined, name: string): string {
  if (value) return value;
  throw new PanamaxError('usage', 'a store in S3 needs access', {
    expected: `the environment variable ${name}`,
  });
}
