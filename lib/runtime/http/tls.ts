import { once } from 'node:events';
import { connect } from 'node:tls';

/** Certificates that are refused; Node's codes for them (tls.md, "X509 certificate error codes"). */
const CERTIFICATE = /^(ERR_TLS_CERT|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/;
const NODES_ADVICE = '; if the root CA';
const ADVICE = 'NODE_EXTRA_CA_CERTS=FILE and, for registries, --registry-ca FILE trust more';
const HANDSHAKE = /^(EPROTO|ERR_SSL|ERR_TLS)/;

/**
 * What is wrong with how a server is spoken to, where that is why a request has failed: TLS to one that has none, or a
 * certificate that is not trusted. Nothing of it gets better by trying again. Undefined for all else.
 *
 * @param plain what to do where the server is meant to be spoken to in plain HTTP
 */
export function protocolProblem(error: unknown, plain = 'http:// rather than https://?'): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', message, cause } = error as NodeJS.ErrnoException;
  if (CERTIFICATE.test(code)) return `${message.split(NODES_ADVICE)[0]}; ${ADVICE}`;
  if (/wrong version number|packet length too long/.test(message)) {
    return `the server speaks no TLS (wrong version number): ${plain}`;
  }
  if (HANDSHAKE.test(code)) return `TLS failed: ${message}`;
  // fetch keeps it inside
  return protocolProblem(cause, plain);
}

/**
 * Whether a server greets in TLS, whatever its certificate: many end a connection without a word that was begun in
 * plain HTTP.
 *
 * @param patience in milliseconds
 */
export async function speaksTls({ hostname, port }: URL, patience: number): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
  socket.setTimeout(patience, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
