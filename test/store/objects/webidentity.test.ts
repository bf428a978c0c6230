/** Keys of a role for the bearer of a token, from a service that answers as AWS STS does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { readS3Access } from '../../../lib/store/objects/credentials.ts';
import { openS3Store } from '../../../lib/store/objects/s3.ts';
import { createRoleKeys } from '../../../lib/store/objects/webidentity.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { noS3, startS3 } from '../../support/s3.ts';
import { atEnd, type Scope } from '../../support/scope.ts';

interface Reply {
  readonly status?: number;
  readonly body: string;
}

const ROLE = 'arn:aws:iam::123456789012:role/panamax';
const HOUR = 3_600_000;

/** AWS STS API reference, AssumeRoleWithWebIdentity, "Examples". */
function keysOf(accessKey: string, secretKey: string, expires: Date): Reply {
  return {
    body: `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:patches:panamax</SubjectFromWebIdentityToken>
    <Credentials>
      <SessionToken>token of ${accessKey}</SessionToken>
      <SecretAccessKey>${secretKey}</SecretAccessKey>
      <Expiration>${expires.toISOString()}</Expiration>
      <AccessKeyId>${accessKey}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`,
  };
}

function refusalOf(status: number, code: string): Reply {
  return {
    status,
    body: `<ErrorResponse><Error><Code>${code}</Code><Message>no &lt;token&gt;</Message></Error></ErrorResponse>`,
  };
}

/** @param reply for the request of this number, from 1 */
async function startService(
  scope: Scope,
  reply: (count: number) => Reply,
  onHeaders: (headers: IncomingHttpHeaders) => void = () => {},
) {
  const forms: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    onHeaders(request.headers);
    void text(request).then((form) => {
      forms.push(new URLSearchParams(form));
      const { status = 200, body } = reply(forms.length);
      return response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), forms };
}

async function identityOf(scope: Scope, endpoint: URL) {
  const tokenFile = join(await temporaryDirectory(scope), 'token');
  await writeFile(tokenFile, 'hidden.token.1\n');
  return { role: ROLE, tokenFile, session: 'panamax', endpoint };
}

describe('keys of a role', () => {
  test('are asked for once, and again with the present token before they end', async (t) => {
    let time = Date.parse('2026-01-01T00:00:00Z');
    const { endpoint, forms } = await startService(t, (count) =>
      keysOf(`id${count}`, 'secret', new Date(time + HOUR)),
    );
    const identity = await identityOf(t, endpoint);
    const keys = createRoleKeys(identity, () => time);
    const [first, same] = await Promise.all([keys(), keys()]);
    assert.deepEqual([first.accessKey, same.accessKey, first.sessionToken], ['id1', 'id1', 'token of id1']);
    assert.deepEqual(Object.fromEntries(forms[0]!), {
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: ROLE,
      RoleSessionName: 'panamax',
      WebIdentityToken: 'hidden.token.1',
    });
    time += HOUR - 10 * 60_000;
    assert.equal((await keys()).accessKey, 'id1');
    await writeFile(identity.tokenFile, 'hidden.token.2');
    time += 6 * 60_000;
    assert.equal((await keys()).accessKey, 'id2');
    assert.equal(forms[1]!.get('WebIdentityToken'), 'hidden.token.2');
  });

  test('are used to their end while a renewal fails', async (t) => {
    let time = Date.parse('2026-01-01T00:00:00Z');
    const { endpoint, forms } = await startService(t, (count) =>
      count === 1 ? keysOf('id1', 'secret', new Date(time + HOUR)) : refusalOf(400, 'ExpiredTokenException'),
    );
    const keys = createRoleKeys(await identityOf(t, endpoint), () => time);
    await keys();
    time += HOUR - 60_000;
    assert.equal((await keys()).accessKey, 'id1');
    assert.equal((await keys()).accessKey, 'id1');
    assert.equal(forms.length, 2, 'no request for each use');
    time += 2 * 60_000;
    await assert.rejects(keys(), {
      kind: 'io',
      message: /the role is refused: 400 ExpiredTokenException: no <token>/,
    });
  });

  test('are asked for again when the service fails, and never appear in an error', async (t) => {
    const busy = await startService(t, (count) =>
      count < 3
        ? refusalOf(500, 'IDPCommunicationError')
        : keysOf('id', 'secret', new Date(Date.now() + HOUR)),
    );
    assert.equal((await createRoleKeys(await identityOf(t, busy.endpoint))()).accessKey, 'id');
    for (const body of ['', '<a>', '<AccessKeyId>hidden</AccessKeyId>', 'x'.repeat(100_000)]) {
      const odd = await startService(t, () => ({ body }));
      const error = await createRoleKeys(await identityOf(t, odd.endpoint))().catch(
        (found: unknown) => found,
      );
      assert.match(String(error), /an answer without keys/);
      assert.doesNotMatch(String(error), /hidden/);
    }
    const identity = { ...(await identityOf(t, busy.endpoint)), tokenFile: '/none' };
    await assert.rejects(createRoleKeys(identity)(), { kind: 'not-found' });
  });

  test('open a bucket by the variables that Kubernetes sets', { skip: noS3() }, async (t) => {
    const server = await startS3(t);
    const { accessKey, secretKey, endpoint } = server.access;
    const { endpoint: service, forms } = await startService(t, (count) =>
      // the first ones end at once
      keysOf(accessKey, secretKey, new Date(Date.now() + (count === 1 ? 1000 : HOUR))),
    );
    const { tokenFile } = await identityOf(t, service);
    const environment = {
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
      AWS_ROLE_SESSION_NAME: 'pod',
      AWS_ENDPOINT_URL_STS: service.origin,
      AWS_ENDPOINT_URL_S3: endpoint.origin,
      AWS_REGION: 'us-east-1',
    };
    const access = await readS3Access(environment);
    assert.deepEqual([access.endpoint.href, access.sessionToken], [endpoint.href, `token of ${accessKey}`]);
    // this server knows no tokens of sessions: the keys alone are those of its account
    const { sessionToken: _token, ...rest } = access;
    const renew = async () => {
      const { sessionToken: _, ...keys } = await access.renew!();
      return keys;
    };
    const store = await openS3Store({ ...rest, accessKey: 'ended', renew }, await server.makeBucket(), '');
    await store.put('key', Buffer.from('bytes'));
    assert.equal(String(await store.get('key')), 'bytes');
    assert.equal(forms.length, 2);
    assert.equal(forms[1]!.get('RoleSessionName'), 'pod');

    let sent: unknown;
    const other = await startService(
      t,
      () => refusalOf(403, 'AccessDenied'),
      (headers) => (sent = headers['x-amz-security-token']),
    );
    await assert.rejects(openS3Store({ ...access, endpoint: other.endpoint }, 'bucket', ''), { kind: 'io' });
    assert.equal(sent, `token of ${accessKey}`);

    const { AWS_ROLE_ARN: _, ...without } = environment;
    await assert.rejects(readS3Access(without), { kind: 'usage', message: /AWS_ROLE_ARN/ });
    const preset = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    assert.equal((await readS3Access({ ...environment, ...preset })).accessKey, 'id');
  });

  test('that cannot be renewed fail a store with their reason', { skip: noS3() }, async (t) => {
    const server = await startS3(t);
    const renew = async () => {
      return createRoleKeys(
        await identityOf(t, (await startService(t, () => refusalOf(403, 'AccessDenied'))).endpoint),
      )();
    };
    const opening = openS3Store({ ...server.access, renew }, await server.makeBucket(), '');
    await assert.rejects(opening, { kind: 'io', message: /the role is refused: 403 AccessDenied/ });
  });
});
