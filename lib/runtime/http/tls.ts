import { once } from 'node:events';
import { connect } from 'node:tls';

/** Node's codes of refused certificates (Node's tls documentation, "X509 certificate error codes"). */
const CERTIFICATE_CODE = /^(ERR_TLS_CERT|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/;
const HANDSHAKE_CODE = /^(EPROTO|ERR_SSL|ERR_TLS)/;
const NODE_ADVICE = '; if the root CA';
const ADVICE = 'NODE_EXTRA_CA_CERTS=FILE and, for registries, --registry-ca FILE trust more';

/**
 * Explains a request that failed because of the protocol: TLS to a server without it, or a certificate that is not
 * trusted. Another attempt fails in the same way.
 *
 * @param plain advice for a server that is meant to be reached over plain HTTP
 * @returns undefined for any other error
 */
export function protocolProblem(error: unknown, plain = 'http:// rather than https://?'): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (CERTIFICATE_CODE.test(code)) return `${message.split(NODE_ADVICE)[0]}; ${ADVICE}`;
  if (/wrong version number|packet length too long/.test(message)) {
    return `the server speaks no TLS (wrong version number): ${plain}`;
  }
  return HANDSHAKE_CODE.test(code) ? `TLS failed: ${message}` : undefined;
}

/**
 * Whether a server answers a TLS handshake, whatever its certificate is. Many TLS servers close a plain HTTP
 * connection without a response, so the closed connection alone does not tell.
 *
 * @param timeout in milliseconds
 */
export async function speaksTls({ hostname, port }: URL, timeout: number): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
  socket.setTimeout(timeout, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
