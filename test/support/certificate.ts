/** A self-signed certificate for 127.0.0.1; needs `openssl`. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

export async function makeCertificate(
  directory: string,
): Promise<{ readonly certificate: string; readonly key: string }> {
  const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests'.split(' ');
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  await promisify(execFile)('openssl', [...request, ...names, '-keyout', key, '-out', certificate]);
  return { certificate, key };
}
