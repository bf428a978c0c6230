import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { readS3Access } from '../../../lib/store/objects/credentials.ts';
import { openS3Store } from '../../../lib/store/objects/s3.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { noS3, startS3 } from '../../support/s3.ts';

const CREDENTIALS = `# keys of tests
[default]
aws_access_key_id = default-id
aws_secret_access_key=default secret=with equals
[ team ]
AWS_ACCESS_KEY_ID = team-id
aws_secret_access_key = team-secret
aws_session_token = team-token
`;
const CONFIG = `[default]
region = eu-north-1
[profile team]
region = eu-west-3
s3 =
  endpoint_url = https://nested.example
endpoint_url = https://objects.example
`;

/** Variables that name the two files. */
async function files(t: TestContext): Promise<Record<string, string>> {
  const directory = await temporaryDirectory(t);
  const [credentials, config] = [join(directory, 'credentials'), join(directory, 'config')];
  await writeFile(credentials, CREDENTIALS);
  await writeFile(config, CONFIG);
  return { AWS_SHARED_CREDENTIALS_FILE: credentials, AWS_CONFIG_FILE: config };
}

const NO_FILES = { AWS_SHARED_CREDENTIALS_FILE: '/none', AWS_CONFIG_FILE: '/none' };

/** Asserts that the variables are refused without showing a key. */
async function refused(environment: Record<string, string>, message: RegExp): Promise<void> {
  const error = await readS3Access({ ...NO_FILES, ...environment }).catch((found: unknown) => found);
  assert.equal((error as { kind?: string }).kind, 'usage');
  assert.match(String(error), message);
  assert.doesNotMatch(String(error), /hidden/);
}

describe('access to S3', () => {
  test('is taken from variables of AWS programs, with the region as address', async () => {
    const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'token' };
    const access = await readS3Access({ ...NO_FILES, ...keys, AWS_DEFAULT_REGION: 'eu-central-1' });
    assert.equal(access.endpoint.href, 'https://s3.eu-central-1.amazonaws.com/');
    assert.deepEqual(
      [access.region, access.accessKey, access.secretKey, access.sessionToken],
      ['eu-central-1', 'id', 'secret', 'token'],
    );
    const other = { AWS_ENDPOINT_URL: 'http://all:1', AWS_ENDPOINT_URL_S3: 'http://s3:2' };
    const named = await readS3Access({ ...NO_FILES, ...keys, ...other });
    assert.deepEqual([named.endpoint.host, named.region], ['s3:2', 'us-east-1']);
  });

  test('is taken from the default profile, or the one that AWS_PROFILE names', async (t) => {
    const places = await files(t);
    const preset = await readS3Access(places);
    assert.equal(preset.endpoint.href, 'https://s3.eu-north-1.amazonaws.com/');
    assert.deepEqual([preset.accessKey, preset.secretKey], ['default-id', 'default secret=with equals']);
    assert.equal(preset.sessionToken, undefined);
    const team = await readS3Access({ ...places, AWS_PROFILE: 'team' });
    assert.deepEqual(
      [team.endpoint.host, team.region, team.accessKey, team.secretKey, team.sessionToken],
      ['objects.example', 'eu-west-3', 'team-id', 'team-secret', 'team-token'],
    );
  });

  test('takes keys and token from one place', async (t) => {
    const places = { ...(await files(t)), AWS_PROFILE: 'team' };
    const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    assert.equal((await readS3Access({ ...places, ...keys })).sessionToken, undefined);
    const own = { S3_ENDPOINT: 'http://s3:1', S3_ACCESS_KEY: 'own', S3_SECRET_KEY: 'own-secret' };
    const access = await readS3Access({ ...places, ...keys, AWS_SESSION_TOKEN: 'token', ...own });
    assert.deepEqual([access.accessKey, access.sessionToken, access.region], ['own', undefined, 'us-east-1']);
  });

  test('is refused in parts, without showing a key', async (t) => {
    await refused({}, /S3_ACCESS_KEY or AWS_ACCESS_KEY_ID/);
    await refused({ AWS_ACCESS_KEY_ID: 'hidden' }, /AWS_SECRET_ACCESS_KEY/);
    await refused({ S3_ENDPOINT: 'http://s3:1', S3_ACCESS_KEY: 'hidden' }, /S3_SECRET_KEY/);
    await refused({ S3_ACCESS_KEY: 'hidden', S3_SECRET_KEY: 'hidden' }, /S3_ENDPOINT/);
    await refused({ ...(await files(t)), AWS_PROFILE: 'none' }, /no such AWS profile.*\[profile none\]/);
    const keys = { AWS_ACCESS_KEY_ID: 'hidden', AWS_SECRET_ACCESS_KEY: 'hidden' };
    await refused({ ...keys, AWS_ENDPOINT_URL: 'http://hidden:hidden@s3' }, /AWS_ENDPOINT_URL/);
    await refused({ ...keys, AWS_CONFIG_FILE: '/' }, /AWS settings cannot be read.* in \//);
  });

  test('by a profile opens a bucket', { skip: noS3() }, async (t) => {
    const server = await startS3(t);
    const { accessKey, secretKey, endpoint } = server.access;
    const path = join(await temporaryDirectory(t), 'credentials');
    await writeFile(path, `[site]\naws_access_key_id=${accessKey}\naws_secret_access_key=${secretKey}\n`);
    const access = await readS3Access({
      ...NO_FILES,
      AWS_PROFILE: 'site',
      AWS_SHARED_CREDENTIALS_FILE: path,
      AWS_ENDPOINT_URL: endpoint.origin,
    });
    const store = await openS3Store(access, await server.makeBucket(), '');
    await store.put('key', Buffer.from('bytes'));
    assert.equal(String(await store.get('key')), 'bytes');
  });
});
