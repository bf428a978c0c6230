import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Agent, RequestOptions } from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { PanamaxError } from '../../errors.ts';
import { TransferError } from './retry.ts';

/** Importing these modules would read all their exports, and so load Node's fetch: 50 ms of each start. */
export const http = process.getBuiltinModule('node:http');
export const https = process.getBuiltinModule('node:https');

export interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Called once for each attempt. */
  readonly body?: () => Readable | Buffer;
}

/** Sends one request. Resolves as soon as the response's head has arrived. */
export type Send = (request: Request, signal?: AbortSignal) => Promise<IncomingMessage>;

/** In milliseconds. */
export interface Timeouts {
  /** Until the connection (and the TLS session) is established. */
  readonly connect: number;
  /** Without a byte in either direction. */
  readonly idle: number;
}

export interface ClientOptions {
  /** Trusted root certificates (PEM); Node's own list by default. */
  readonly ca?: readonly string[];
  readonly timeouts?: Partial<Timeouts>;
  /** Accepts any certificate. */
  readonly skipsVerification?: boolean;
}

const TIMEOUTS: Timeouts = { connect: 20_000, idle: 60_000 };
const DEFAULT_CONNECTIONS = 4;
const MAX_REDIRECTS = 10;
/** A response body up to this size is read to its end so that the connection can be reused. In bytes. */
const MAX_DISCARDED = 64 * 1024;

const AGENT_OPTIONS = { keepAlive: true, maxSockets: DEFAULT_CONNECTIONS, scheduling: 'lifo' } as const;
/** Agents are shared by all clients of a thread because the limit of connections is per host, not per client. */
const plainAgent = new http.Agent(AGENT_OPTIONS);
/** Keyed by the trusted certificates. */
const secureAgents = new Map<string, Agent>();
let mostConnections: number = DEFAULT_CONNECTIONS;

/** Sets the limit of connections to one host, for a process that serves others and answers while it transfers. */
export function limitConnections(most: number): void {
  mostConnections = most;
  for (const agent of [plainAgent, ...secureAgents.values()]) agent.maxSockets = most;
}

function secureAgent(ca: readonly string[] | undefined, skipsVerification: boolean): Agent {
  const key = `${skipsVerification} ${ca?.join('\n') ?? ''}`;
  const trust = { ...(ca && { ca: [...ca] }), rejectUnauthorized: !skipsVerification };
  const agent =
    secureAgents.get(key) ?? new https.Agent({ ...AGENT_OPTIONS, maxSockets: mostConnections, ...trust });
  secureAgents.set(key, agent);
  return agent;
}

/** Creates an HTTP/1.1 client with pooled connections. */
export function createClient({ ca, timeouts, skipsVerification = false }: ClientOptions = {}): Send {
  const secure = secureAgent(ca, skipsVerification);
  const limits = { ...TIMEOUTS, ...timeouts };

  return ({ method, url, headers, body }, signal) =>
    new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:';
      const options = {
        method,
        headers: { 'user-agent': 'panamax', 'accept-encoding': 'identity', ...headers },
        agent: isSecure ? secure : plainAgent,
      };
      const create = (timed: RequestOptions) => (isSecure ? https : http).request(url, timed);
      const request = startRequest(create, options, limits, signal);
      let hasResponse = false;
      request.on('error', reject);
      request.on('response', (response) => {
        hasResponse = true;
        resolve(response);
      });
      const content = body?.();
      if (content === undefined || Buffer.isBuffer(content)) {
        request.end(content);
        return;
      }
      pipeline(content, request, (error) => {
        if (error && !hasResponse) reject(error);
      });
    });
}

/**
 * Starts a request that fails with a `TransferError` when it exceeds a time-out. The caller writes and ends it.
 *
 * @param create calls `http.request` or `https.request` with the options it is given
 */
export function startRequest(
  create: (options: RequestOptions) => ClientRequest,
  options: RequestOptions,
  { connect, idle }: Timeouts,
  signal?: AbortSignal,
): ClientRequest {
  const request = create({ ...options, timeout: idle, ...(signal && { signal }) });
  let response: IncomingMessage | undefined;
  let connecting: NodeJS.Timeout | undefined;
  const stopConnectTimer = () => clearTimeout(connecting);
  // the connect time-out starts with the socket: time in the agent's queue is not the server's
  request.on('socket', (socket) => {
    if (!socket.connecting) return;
    const expire = () => request.destroy(new TransferError(`no connection in ${connect / 1000} s`));
    connecting = setTimeout(expire, connect);
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stopConnectTimer);
  });
  request.on('close', stopConnectTimer);
  const onIdle = () => {
    // unread bytes are waiting: the reader is slow, not the server
    if (response && response.readableLength > 0) response.socket.setTimeout(idle, onIdle);
    else (response ?? request).destroy(new TransferError(`no data for ${idle / 1000} s`));
  };
  request.on('timeout', onIdle);
  request.on('response', (incoming) => {
    response = incoming;
    const { socket } = incoming;
    incoming.on('close', () => socket.off('timeout', onIdle));
    // without a listener, an error after the reader has stopped would end the process
    incoming.on('error', () => {});
  });
  return request;
}

/**
 * Sends a GET or HEAD request and follows its redirects. Responses to other methods are returned as they are.
 *
 * @param headersFor headers for one hop, so that credentials are only sent to the host they belong to
 * @throws PanamaxError `io` for a redirect without a target and for too many of them
 */
export async function sendAndFollow(
  send: Send,
  request: Omit<Request, 'headers'>,
  headersFor: (url: URL) => Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const { origin } = request.url;
  let { url } = request;
  for (let redirects = 0; ; redirects++) {
    const headers = headersFor(url);
    if (!/^https?:$/.test(url.protocol)) throw nowhere(url);
    const response = await send({ ...request, url, headers }, signal);
    const { location } = response.headers;
    const isRedirect = [301, 302, 303, 307, 308].includes(response.statusCode ?? 0);
    if (!isRedirect || location === undefined || !/^(GET|HEAD)$/.test(request.method)) return response;
    discard(response);
    const next = URL.parse(location, url.href);
    if (!next || redirects === MAX_REDIRECTS) throw nowhere(next);
    url = next;
  }

  function nowhere(next: URL | null): PanamaxError {
    const facts = { found: next?.origin ?? 'no URL', where: origin };
    return new PanamaxError('io', 'redirects lead nowhere', facts);
  }
}

/** Gives up a response body: reads a small one to its end, closes the connection of a large one. */
export function discard(response: IncomingMessage): void {
  if (Number(response.headers['content-length'] ?? Infinity) <= MAX_DISCARDED) response.resume();
  else response.destroy();
}
