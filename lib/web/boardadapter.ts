import type {
  AppControllerRoute,
  AppViewRoute,
  BullBoardQueues,
  ControllerHandlerReturnType,
  IServerAdapter,
  UIConfig,
} from '@bull-board/api/dist/types.js';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';

export interface Question {
  readonly method: string;
  readonly url: string;
  /** JSON value of the body; undefined without one. */
  readonly body: unknown;
}

export interface Answer {
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

/** The server adapter that Bull Board requires, with a function that answers requests. */
export function createAdapter(): {
  adapter: IServerAdapter;
  answer: (question: Question) => Promise<Answer>;
} {
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

  async function answer({ method, url, body: given }: Question): Promise<Answer> {
    const { pathname, searchParams } = new URL(url, 'http://board');
    const isRead = method === 'GET';
    const file = isRead ? (await files).get(pathname) : undefined;
    if (file !== undefined) {
      return {
        status: 200,
        type: TYPES[extname(file)] ?? 'application/octet-stream',
        body: await readFile(file),
      };
    }
    for (const route of routes) {
      const params =
        [route.method].flat().some((known) => known.toUpperCase() === method) &&
        matched(route.route, pathname);
      if (!params) continue;
      const query = Object.fromEntries(searchParams);
      const { status = 200, body } = await callRoute(route, {
        queues,
        uiConfig,
        query,
        params,
        body: (given ?? {}) as Record<string, unknown>,
        headers: {},
      });
      // RFC 9110, section 15.3.5: no content
      return { status, type: 'application/json', body: status === 204 ? '' : JSON.stringify(body) };
    }
    if (!isRead || !matched(entry.route, pathname))
      return { status: 404, type: 'text/plain', body: 'no such page\n' };
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
