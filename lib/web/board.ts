import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { Queue, type Job } from 'bullmq';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createAdapter, type Answer } from './boardadapter.ts';
import type { TitleOf } from './jobtitles.ts';
import { serve, type Listen, type Listener } from './server.ts';
import type { Connection } from '../queue/connection.ts';
import { QUEUES } from '../queue/names.ts';
import { readRequestBody } from '../runtime/http/requestbody.ts';
import type { Secrets } from '../runtime/http/secret.ts';

/** Largest body of a request, in bytes. */
const MAX_BODY = 1024 * 1024;

export type Board = Listener;

/** Shows jobs by titles in place of their names, which are those of the queues. */
class TitledAdapter extends BullMQAdapter {
  readonly #titleOf: TitleOf;

  constructor(queue: Queue, titleOf: TitleOf, readOnlyMode: boolean) {
    super(queue, { readOnlyMode });
    this.#titleOf = titleOf;
  }

  override async getJobs(...range: Parameters<BullMQAdapter['getJobs']>): Promise<Job[]> {
    const jobs = await super.getJobs(...range);
    await Promise.all(jobs.map((job) => this.#name(job)));
    return jobs;
  }

  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    if (job) await this.#name(job);
    return job;
  }

  /** A record that is gone or damaged leaves a job its own name. */
  async #name(job: Job): Promise<void> {
    job.name = (await this.#titleOf(job.data).catch(() => undefined)) ?? job.name;
  }
}

export interface BoardOptions {
  readonly listen: Listen;
  readonly titleOf: TitleOf;
  /** A request has to show one of them. Without secrets the board changes nothing. */
  readonly secrets?: Secrets | undefined;
}

/**
 * Serves Bull Board: the jobs in all queues, to look at; with secrets also to retry, remove and pause.
 *
 * @param connection of its own, which ends with it
 */
export async function serveBoard(
  { redis, prefix }: Connection,
  { listen, titleOf, secrets }: BoardOptions,
): Promise<Board> {
  const queues = QUEUES.map((name) => {
    const queue = new Queue(name, { connection: redis, prefix });
    queue.on('error', () => {});
    return queue;
  });
  const { adapter, answer } = createAdapter();
  createBullBoard({
    queues: queues.map((queue) => new TitledAdapter(queue, titleOf, !secrets)),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'panamax' } },
  });
  const answerAllowed = async (request: IncomingMessage): Promise<Answer> => {
    const { method = 'GET', url = '/' } = request;
    const refusal = refusalOf(request, secrets);
    return refusal ?? answer({ method, url, body: method === 'GET' ? undefined : await readJson(request) });
  };
  const onRequest: RequestListener = (request, response) => {
    answerAllowed(request).then(
      (found) => send(response, found),
      () => send(response, { status: 500, type: 'text/plain', body: 'failed\n' }),
    );
  };
  const close = async () => {
    await Promise.allSettled(queues.map((queue) => queue.close()));
    redis.disconnect();
  };
  try {
    const listener = await serve(listen, onRequest);
    return {
      port: listener.port,
      async [Symbol.asyncDispose]() {
        await listener[Symbol.asyncDispose]();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const refuse = (status: number, text: string): Answer => ({ status, type: 'text/plain', body: `${text}\n` });

/** The answer to a request that is not allowed; undefined for others. */
function refusalOf({ method, headers }: IncomingMessage, secrets: Secrets | undefined): Answer | undefined {
  if (secrets && secrets.allowHead(headers) !== true) {
    return refuse(401, 'the secret is missing or wrong: it is the password, of any user');
  }
  if (method === 'GET') return undefined;
  if (!secrets) return refuse(405, 'GET only');
  // a browser sends the password with requests that pages of other sites make, and names the site
  const { origin, host } = headers;
  const isOwn = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  return isOwn ? undefined : refuse(403, 'pages of other sites change nothing here');
}

/** @throws Error if the body is too long or no JSON object */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const bytes = await readRequestBody(request, MAX_BODY);
  if (!bytes) throw new Error('the body is too long');
  if (bytes.length === 0) return undefined;
  const value: unknown = JSON.parse(bytes.toString());
  if (typeof value !== 'object' || value === null) throw new Error('the body is no object');
  return value;
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  const login = status === 401 && { 'www-authenticate': 'Basic realm="panamax"' };
  response
    .writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff', ...login })
    .end(body);
}
