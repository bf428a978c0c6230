import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';

export interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Made anew for each attempt. */
  readonly body?: () => Readable | Buffer;
}

/** Sends one request and resolves with the head of its answer. */
export type Send = (request: Request, signal?: AbortSignal) => Promise<IncomingMessage>;

/** In milliseconds. */
const CONNECT_TIMEOUT = 20_000;
const IDLE_TIMEOUT = 60_000;
/** To one host. */
const MAX_CONNECTIONS = 4;

const SETTINGS = { keepAlive: true, maxSockets: MAX_CONNECTIONS, scheduling: 'lifo' } as const;
/** Shared by all clients of a thread: the limit is on hosts, not on clients. */
const plain = new http.Agent(SETTINGS);
/** By the certificates that are trusted. */
const secureAgents = new Map<string, https.Agent>();

function secureAgent(ca: readonly string[] | undefined): https.Agent {
  const key = ca?.join('\n') ?? '';
  const known = secureAgents.get(key);
  const agent = known ?? new https.Agent({ ...SETTINGS, ...(ca && { ca: [...ca] }) });
  secureAgents.set(key, agent);
  return agent;
}

/** @param ca certificates that are trusted; Node's by default */
export function createTransport(ca?: readonly string[]): Send {
  const secure = secureAgent(ca);

  return ({ method, url, headers, body }, signal) =>
    new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:';
      const sent = (isSecure ? https : http).request(url, {
        method,
        headers: { 'user-agent': 'panamax', 'accept-encoding': 'identity', ...headers },
        agent: isSecure ? secure : plain,
        timeout: IDLE_TIMEOUT,
        ...(signal && { signal }),
      });
      let response: IncomingMessage | undefined;
      let connecting: NodeJS.Timeout | undefined;
      const connected = () => clearTimeout(connecting);
      // waiting for one of the few connections is not waiting for the server
      sent.on('socket', (socket) => {
        if (!socket.connecting) return;
        const expire = () => sent.destroy(new Error(`no connection in ${CONNECT_TIMEOUT / 1000} s`));
        connecting = setTimeout(expire, CONNECT_TIMEOUT);
        socket.once(isSecure ? 'secureConnect' : 'connect', connected);
      });
      sent.on('close', connected);
      sent.on('timeout', () => {
        (response ?? sent).destroy(new Error(`no data for ${IDLE_TIMEOUT / 1000} s`));
      });
      sent.on('error', reject);
      sent.on('response', (incoming) => {
        response = incoming;
        // who has stopped reading is told of no error
        incoming.on('error', () => {});
        resolve(incoming);
      });
      const content = body?.();
      if (content === undefined || Buffer.isBuffer(content)) sent.end(content);
      else {
        pipeline(content, sent, (error) => {
          if (error && !response) reject(error);
        });
      }
    });
}
