import http from 'node:http';
import https from 'node:https';

/** In milliseconds. */
export interface Timeouts {
  /** Until a connection stands. */
  readonly connect: number;
  /** Without a byte in either direction. */
  readonly idle: number;
}

/** Answers that say: later. */
const TRY_LATER = new Set([408, 429, 500, 502, 503, 504]);

/**
 * What the S3 client sends its requests by. The client itself waits for ever, knows no abort, and takes an error
 * page of a proxy for an answer of the store: here each of them ends the request with an error.
 */
export function createTransport(secure: boolean, timeouts: Timeouts, signal?: AbortSignal) {
  const { request: send } = secure ? https : http;
  const ready = secure ? 'secureConnect' : 'connect';

  function request(
    options: https.RequestOptions,
    onResponse: (response: http.IncomingMessage) => void,
  ): http.ClientRequest {
    const sent = send({ ...options, timeout: timeouts.idle, ...(signal && { signal }) });
    let response: http.IncomingMessage | undefined;
    const connecting = setTimeout(
      () => sent.destroy(new Error(`no connection in ${timeouts.connect / 1000} s`)),
      timeouts.connect,
    );
    const connected = () => clearTimeout(connecting);
    sent.on('socket', (socket) => (socket.connecting ? socket.once(ready, connected) : connected()));
    sent.on('close', connected);
    sent.on('timeout', () => {
      (response ?? sent).destroy(new Error(`no data for ${timeouts.idle / 1000} s`));
    });
    sent.on('response', (incoming) => {
      if (TRY_LATER.has(incoming.statusCode ?? 0)) {
        sent.destroy(new Error(`answer ${incoming.statusCode} ${incoming.statusMessage ?? ''}`));
        return;
      }
      response = incoming;
      // who has stopped reading is told of no error
      incoming.on('error', () => {});
      onResponse(incoming);
    });
    return sent;
  }
  return { request: request as typeof http.request };
}
