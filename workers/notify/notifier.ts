import { pathToFileURL } from 'node:url';
import { toPanamaxError } from '../../lib/errors.ts';
import { createClient, discard } from '../../lib/runtime/http/client.ts';
import { isTransientFailure, retrying, retryAfterOf, StatusError } from '../../lib/runtime/http/retry.ts';
import { signatureOf, SIGNATURE_HEADER } from '../../lib/runtime/http/secret.ts';
import type { Log } from '../context.ts';
import type { Notify } from './events.ts';

export interface NotifierOptions {
  readonly urls: readonly URL[];
  /** Signs the bodies; undefined without one. */
  readonly secret?: string | undefined;
  /** Name of the store, the source of the events. */
  readonly store: string;
  readonly log: Log;
  /** Delay before the second attempt, in milliseconds; doubled for each further one. */
  readonly delay?: number;
  /** Time for the last events at the end, in milliseconds. */
  readonly patience?: number;
}

/** Sends events. Its end waits a few seconds for those that are left. */
export interface Notifier extends AsyncDisposable {
  readonly notify: Notify;
}

/** Events that wait for a receiver; further ones are dropped. */
const MAX_WAITING = 1000;
const ATTEMPTS = 6;
/** The attempts take half a minute. */
const DELAY = 1000;
const PATIENCE = 5000;
const TIMEOUTS = { connect: 5000, idle: 10_000 };

/**
 * Sends events as CloudEvents 1.0 over HTTP in structured mode, to each receiver in the order in which they come. A
 * receiver that does not answer 2xx gets an event again, with growing pauses; then a warning is logged. Neither slow nor
 * absent receivers hold up the work.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { urls, store, patience = PATIENCE } = options;
  const end = new AbortController();
  const source = URL.canParse(store) ? store : pathToFileURL(store).href;
  const receivers = urls.map((url) => createReceiver(url, options, end.signal));
  return {
    notify({ id, type, subject, data }) {
      const time = new Date().toISOString();
      const attributes = { specversion: '1.0', id, source, type, subject, time };
      const body = Buffer.from(JSON.stringify({ ...attributes, datacontenttype: 'application/json', data }));
      for (const receiver of receivers) receiver.add(body);
    },
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => end.abort(), patience);
      await Promise.all(receivers.map((receiver) => receiver.idle()));
      clearTimeout(timer);
    },
  };
}

function createReceiver(url: URL, { secret, log, delay = DELAY }: NotifierOptions, signal: AbortSignal) {
  const send = createClient({ timeouts: TIMEOUTS });
  const policy = { attempts: ATTEMPTS, delay, isTransient: isTransientFailure, signal };
  const waiting: Buffer[] = [];
  let running: Promise<void> | undefined;
  let dropped = 0;

  async function post(body: Buffer): Promise<void> {
    const headers = {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'content-length': String(body.length),
      ...(secret !== undefined && { [SIGNATURE_HEADER]: signatureOf(secret, body) }),
    };
    const response = await send({ method: 'POST', url, headers, body: () => body }, signal);
    const status = response.statusCode ?? 0;
    const wait = retryAfterOf(response);
    discard(response);
    if (status < 200 || status > 299) throw new StatusError(status, `the receiver answers ${status}`, wait);
  }

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      const body = waiting[0]!;
      try {
        await retrying(policy, () => post(body));
      } catch (error) {
        const reason = signal.aborted ? 'the end' : toPanamaxError(error).message;
        const lost = signal.aborted ? waiting.length : 1;
        log.warn({ receiver: url.origin, reason, lost }, 'an event is not delivered');
        if (signal.aborted) waiting.length = 0;
      }
      waiting.shift();
      if (dropped > 0) log.warn({ receiver: url.origin, lost: dropped }, 'events were dropped');
      dropped = 0;
    }
    running = undefined;
  }

  return {
    add(body: Buffer): void {
      if (waiting.length >= MAX_WAITING) {
        dropped++;
        return;
      }
      waiting.push(body);
      running ??= sendAll();
    },
    async idle(): Promise<void> {
      await running;
    },
  };
}
