import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type {
  AppControllerRoute,
  AppViewRoute,
  BullBoardQueues,
  ControllerHandlerReturnType,
  IServerAdapter,
  UIConfig,
} from '@bull-board/api/dist/types.js';
import { Queue, type Job } from 'bullmq';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { extname, join, relative } from 'node:path';
import type { TitleOf } from './jobtitles.ts';
import { serve, type Listen, type Listener } from './server.ts';
import type { Connection } from '../queue/connection.ts';
import { QUEUES } from '../queue/names.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

export type Board = Listener;

/** Shows jobs by titles in place of their names, which are those of the queues. */
class TitledAdapter extends BullMQAdapter {
  readonly #titleOf: TitleOf;

  constructor(queue: Queue, titleOf: TitleOf) {
    super(queue, { readOnlyMode: true });
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

/**
 * Serves Bull Board: the jobs in all queues, to look at. It changes nothing, and knows no passwords.
 *
 * @param connection of its own, which ends with it
 */
export async function serveBoard(
  { redis, prefix }: Connection,
  listen: Listen,
  titleOf: TitleOf,
): Promise<Board> {
  const queues = QUEUES.map((name) => {
    const queue = new Queue(name, { connection: redis, prefix });
    queue.on('error', () => {});
    return queue;
  });
  const { adapter, answer } = createAdapter();
  createBullBoard({
    queues: queues.map((queue) => new TitledAdapter(queue, titleOf)),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'panamax' } },
  });
  const onRequest: RequestListener = (request, response) => {
    answer(request).then(
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

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body);
}

/** The server adapter that Bull Board requires, on Node's HTTP server and read-only. */
function createAdapter(): { adapter: IServerAdapter; answer: (request: IncomingMessage) => Promise<Answer> } {
  let queues: BullBoardQueues;
  let uiConfig: UIConfig = {};
  let page: Promise<string>;
  let files: Promise<ReadonlyMap<string, string>>;
  let entry: AppViewRoute;
  let routes: readonly AppControllerRoute[] = [];
  let onError: (error: Error) => ControllerHandlerReturnType;

  const adapter: IServerAdapter = {
    setQueues: (found) => ((queues = found), adapter),
    setViewsPath: (path) => ((page = readFile(join(path, 'index.ejs'), 'utf8')), adapter),
    setStaticPath: (route, path) => ((files = listFiles(route, path)), adapter),
    setEntryRoute: (route) => ((entry = route), adapter),
    setErrorHandler: (handler) => ((onError = handler), adapter),
    setApiRoutes: (found) => ((routes = found), adapter),
    setUIConfig: (config) => ((uiConfig = config), adapter),
  };

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://board');
    if (request.method !== 'GET') return { status: 405, type: 'text/plain', body: 'GET only\n' };
    const file = (await files).get(pathname);
    if (file !== undefined) {
      return {
        status: 200,
        type: TYPES[extname(file)] ?? 'application/octet-stream',
        body: await readFile(file),
      };
    }
    for (const route of routes) {
      const params = [route.method].flat().includes('get') && matched(route.route, pathname);
      if (!params) continue;
      const query = Object.fromEntries(searchParams);
      const { status = 200, body } = await callRoute(route, {
        queues,
        uiConfig,
        query,
        params,
        body: {},
        headers: {},
      });
      return { status, type: 'application/json', body: JSON.stringify(body) };
    }
    if (!matched(entry.route, pathname)) return { status: 404, type: 'text/plain', body: 'no such page\n' };
    const { params } = entry.handler({ basePath: '/', uiConfig });
    return { status: 200, type: 'text/html', body: filled(await page, params) };
  }

  async function callRoute(
    route: AppControllerRoute,
    request: Parameters<AppControllerRoute['handler']>[0],
  ): Promise<ControllerHandlerReturnType> {
    try {
      return await route.handler(request);
    } catch (error) {
      return onError(error as Error);
    }
  }

  return { adapter, answer };
}

/** The only files that are served, by path. */
async function listFiles(route: string, directory: string): Promise<Map<string, string>> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  return new Map(
    found
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name))
      .map((path) => [`${route}/${relative(directory, path).replaceAll('\\', '/')}`, path]),
  );
}

/** The parameters of a path that is one of `/fixed/:parameter`; undefined for others. */
function matched(patterns: string | readonly string[], path: string): Record<string, string> | undefined {
  for (const pattern of [patterns].flat()) {
    const names: string[] = [];
    const source = pattern.replaceAll(/:(\w+)/g, (_, name: string) => {
      names.push(name);
      return '([^/]+)';
    });
    const match = new RegExp(`^${source}$`).exec(path);
    if (!match) continue;
    try {
      return Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(match[i + 1]!)]));
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** The page is a template of EJS with nothing but values in it. Fonts from elsewhere are left out. */
function filled(template: string, params: Readonly<Record<string, string>>): string {
  return template
    .replaceAll(/<link href="https:[^>]*>/g, '')
    .replaceAll(/<%([-=]) (\w+) %>/g, (_, kind: string, name: string) =>
      kind === '-' ? params[name]! : escaped(params[name] ?? ''),
    );
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
