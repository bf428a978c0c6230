import { readFile } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';

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

/**
 * Reads `S3_ENDPOINT`, `S3_REGION` (default us-east-1), `S3_ACCESS_KEY` `S3_SECRET_KEY`, and, for temporary keys,
 * `S3_SESSION_TOKEN`. A variable with `_FILE` appended names a file that contains the key instead.
 *
 * @throws PanamaxError `usage`; its message never contains a key
 */
export async function readS3Access(environment: Environment): Promise<S3Access> {
  const endpoint = URL.parse(required(environment['S3_ENDPOINT'], 'S3_ENDPOINT'));
  if (!endpoint || !/^https?:$/.test(endpoint.protocol) || endpoint.username || endpoint.pathname !== '/') {
    throw new PanamaxError('usage', 'S3_ENDPOINT', {
      expected: 'http[s]://HOST[:PORT]',
      found: 'something else',
    });
  }
  const hasToken = environment['S3_SESSION_TOKEN'] || environment['S3_SESSION_TOKEN_FILE'];
  return {
    endpoint,
    region: environment['S3_REGION'] ?? 'us-east-1',
    accessKey: await secret(environment, 'S3_ACCESS_KEY'),
    secretKey: await secret(environment, 'S3_SECRET_KEY'),
    ...(hasToken && { sessionToken: await secret(environment, 'S3_SESSION_TOKEN') }),
  };
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
