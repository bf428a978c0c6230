import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

const MAX_PORT = 65_535;

/**
 * Decides whether a request's Host header names this server. A page in a browser whose own name an attacker points to
 * this address (DNS rebinding) sends that name.
 *
 * Accepted are the host that the server listens on, the address that the connection came to, and `names`. A server on a
 * loopback address has all loopback names. One on all addresses may be reached through others (a port published by a
 * container engine), so it accepts every address, and `localhost`: an address cannot be pointed elsewhere.
 *
 * @param host that the server listens on
 * @param names further host names, without ports
 */
export function hostCheck(
  host: string,
  names: readonly string[] = [],
): (request: IncomingMessage) => boolean {
  const own = new Set([host, ...names].map(normalized));
  const isOpen = isWildcard(host);
  const hasLoopback = isOpen || isLoopback(normalized(host));
  return ({ headers, socket }) => {
    const found = hostOf(headers.host);
    if (found === undefined) return false;
    return (
      own.has(found) ||
      found === normalized(socket.localAddress ?? '') ||
      (hasLoopback && isLoopback(found)) ||
      (isOpen && isIP(found) !== 0)
    );
  };
}

/** The host of a Host header (RFC 9110, section 7.2) without its port. Undefined for a malformed or missing one. */
function hostOf(header: string | undefined): string | undefined {
  const match = /^(?:\[([\d.:a-f]+)\]|([^\s:[\]/@?#]+))(?::(\d{0,5}))?$/i.exec(header ?? '');
  const host = match?.[1] ?? match?.[2];
  return host === undefined || Number(match?.[3] ?? 0) > MAX_PORT ? undefined : normalized(host);
}

/** In lower case, without brackets, a final dot, or the prefix of an IPv4 address in IPv6. */
function normalized(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .replace(/^::ffff:(?=\d+\.)/, '');
}

function isWildcard(host: string): boolean {
  return ['0.0.0.0', '::', ''].includes(normalized(host));
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
