import { readFile } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';
import { readProfile } from './awsprofile.ts';

/** Address and keys of an S3 server. */
export interface S3Access {
  readonly endpoint: URL;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of temporary keys. */
  readonly sessionToken?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_REGION = 'us-east-1';

/**
 * Reads `S3_ENDPOINT`, `S3_REGION` (default us-east-1), `S3_ACCESS_KEY`, `S3_SECRET_KEY`, and, for temporary keys,
 * `S3_SESSION_TOKEN`. A variable with `_FILE` appended names a file that contains the key instead. Without these keys
 * those of AWS programs are taken: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, else a profile's
 * (`readProfile`). Without an endpoint and a region: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`,
 * `AWS_DEFAULT_REGION`, the profile's, and for keys of AWS that region's server.
 *
 * @throws PanamaxError `usage`; its message never contains a key
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
  const profile = await readProfile(environment);
  const first = (...names: string[]) => names.map((name) => environment[name]).find(Boolean);
  const named = ['S3_ENDPOINT', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'].find((name) => environment[name]);
  const region = first('S3_REGION', 'AWS_REGION', 'AWS_DEFAULT_REGION') || profile.get('region');
  // keys of the environment go with its token, those of a profile with the profile's
  const isOfEnvironment = first('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY') !== undefined;
  const value = (name: string) =>
    (isOfEnvironment ? environment[name] : profile.get(name.toLowerCase())) || undefined;
  const accessKey = required(value('AWS_ACCESS_KEY_ID'), 'S3_ACCESS_KEY or AWS_ACCESS_KEY_ID');
  const secretKey = required(value('AWS_SECRET_ACCESS_KEY'), 'AWS_SECRET_ACCESS_KEY');
  const endpoint =
    (named && environment[named]) ||
    profile.get('endpoint_url') ||
    `https://s3.${region ?? DEFAULT_REGION}.amazonaws.com`;
  const sessionToken = value('AWS_SESSION_TOKEN');
  return {
    endpoint: parseEndpoint(endpoint, named ?? 'the S3 endpoint'),
    region: region ?? DEFAULT_REGION,
    accessKey,
    secretKey,
    ...(sessionToken && { sessionToken }),
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
