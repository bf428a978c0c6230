import type { IncomingMessage, RequestListener } from 'node:http';
import { PanamaxError } from '../../lib/errors.ts';
import { parseNotification, type Notice } from './notification.ts';
import { readRequestBody } from '../../lib/runtime/http/requestbody.ts';
import type { Secrets } from '../../lib/runtime/http/secret.ts';

/** Largest body: zot sends manifests, of up to 4 MiB, with its events. */
const MAX_BODY = 5 * 1024 * 1024;
/** Bodies that are read at a time. */
const MAX_READERS = 16;

/** The address that registries send notifications to. */
export const HOOK_PATH = '/events';

export interface HookOptions {
  /** Undefined for a listener that only this machine reaches. */
  readonly secrets: Secrets | undefined;
  /** Takes pushes to be looked at. @returns how many; undefined if there is no room now */
  readonly take: (notices: readonly Notice[]) => number | undefined;
}

/** A request that is answered with a status of its own. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Answers notifications of registries: 202 with the number of pushes that are looked at, 200 if there are none, else a
 * sentence. A JSON type is demanded because pages of other sites cannot send one unasked.
 */
export function createHook({ secrets, take }: HookOptions): RequestListener {
  let readers = 0;

  async function answer(request: IncomingMessage): Promise<readonly [status: number, text: string]> {
    const { method, url = '', headers } = request;
    if (url.split('?', 1)[0] !== HOOK_PATH) throw new Refusal(404, `notifications go to ${HOOK_PATH}`);
    if (method !== 'POST') throw new Refusal(405, 'POST only');
    const allowed = secrets ? secrets.allowHead(headers) : true;
    if (allowed === false) throw new Refusal(401, 'the shared secret is missing or wrong');
    checkHead(request);
    if (readers >= MAX_READERS)
      throw new Refusal(503, 'too many notifications at a time; send it again later');
    readers++;
    let body: Buffer | undefined;
    try {
      body = await readRequestBody(request, MAX_BODY);
    } finally {
      readers--;
    }
    if (!body) throw tooLarge();
    if (allowed === undefined && !secrets!.allowBody(headers, body)) {
      throw new Refusal(401, 'the signature is wrong');
    }
    const notices = parseNotification(headers, body);
    const count = take(notices);
    if (count === undefined) throw new Refusal(503, 'too many pushes are waiting; send it again later');
    return [count > 0 ? 202 : 200, `${count} of ${notices.length} pushes taken`];
  }

  return (request, response) => {
    const origin = validationOf(request);
    if (origin !== undefined) {
      response.writeHead(200, {
        allow: 'POST',
        'webhook-allowed-origin': origin,
        'webhook-allowed-rate': '*',
      });
      response.end();
      return;
    }
    const send = (status: number, text: string) => {
      const isBusy = status === 503 && { 'retry-after': '10' };
      const isUnknown = status === 401 && { 'www-authenticate': 'Bearer' };
      // the rest of a body that is not read ends the connection
      const isRefused = status >= 400 && { connection: 'close' };
      const type = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
      response.writeHead(status, { ...type, ...isBusy, ...isUnknown, ...isRefused }).end(`${text}\n`);
    };
    answer(request).then(
      ([status, text]) => send(status, text),
      (error: unknown) => {
        if (error instanceof Refusal) return send(error.status, error.message);
        if (!(error instanceof PanamaxError)) return send(500, 'failed');
        send(error.kind === 'limit' ? 413 : 400, error.message);
      },
    );
  };
}

/**
 * The origin of a sender that asks whether it may send notifications (CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery",
 * section 4), as Azure does. It may ask without the secret, since its notifications have to show it.
 */
function validationOf({ method, url = '', headers }: IncomingMessage): string | undefined {
  const origin = String(headers['webhook-request-origin'] ?? '');
  const isAsked = method === 'OPTIONS' && url.split('?', 1)[0] === HOOK_PATH;
  return isAsked && /^[\w.:-]{1,255}$/.test(origin) ? origin : undefined;
}

function checkHead({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';', 1)[0]!.trim() ?? '';
  if (!/^application\/(?:[\w.-]+\+)?json$/i.test(type)) {
    throw new Refusal(415, 'a notification is a JSON document: application/json');
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new Refusal(415, 'a notification is not compressed');
  if (Number(headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge();
}

function tooLarge(): Refusal {
  return new Refusal(413, `a notification has at most ${MAX_BODY} bytes`);
}
