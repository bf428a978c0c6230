import { createHash } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener } from 'node:http';
import { PanamaxError } from '../../lib/errors.ts';
import { checkRunId } from '../../lib/run/request.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { readPageData } from '../report/data.ts';
import { formatPage } from '../report/page.ts';
import { SCRIPT } from '../report/script.ts';
import { STYLE } from '../report/style.ts';
import { LIVE } from './live.ts';
import { formatImage, formatOverview, type DashboardData } from './page.ts';

export interface DashboardOptions {
  readonly store: Store;
  /** @throws PanamaxError if the store does not answer */
  readonly read: () => Promise<DashboardData>;
  /** Port of Bull Board, on the host that a request names. */
  readonly boardPort?: number | undefined;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly policy?: string;
}

/** Nothing comes from elsewhere, nothing is inline. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** The page of a run is one file: its script and its style are known by their hashes. */
const PAGE_POLICY = `default-src 'none'; style-src ${hashOf(STYLE)}; script-src ${hashOf(SCRIPT)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

const MORE_STYLE = `
h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; overflow-wrap: anywhere; } a { color: var(--patch); }
.arc { stroke: var(--patch); stroke-width: 1.75; fill: none; } .halo { paint-order: stroke; stroke: var(--back); stroke-width: 4px; }
g:hover .arc { stroke-width: 3.5; } .warning { color: var(--none); font-weight: 600; } #live { margin-left: .75rem; }
.pause { font: inherit; margin-left: .75rem; padding: .1rem .6rem; border: 1px solid var(--soft); border-radius: .35rem; background: var(--back); color: var(--text); cursor: pointer; }
.pause[aria-pressed=true] { background: var(--pull); } .plot svg[width] { min-width: 0; width: auto; max-width: none; }
`;

/** Serves the pages: all runs at `/`, an image at `/image?name=`, a run at `/run?id=`. Requests change nothing. */
export function createDashboard(options: DashboardOptions): RequestListener {
  return (request, response) => {
    const send = ({ status, type, body, policy = POLICY }: Answer) => {
      const headers: OutgoingHttpHeaders = {
        'content-type': `${type}; charset=utf-8`,
        'content-security-policy': policy,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      };
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
    };
    answer(request, options).then(send, (error: unknown) => {
      if (!(error instanceof PanamaxError)) return send(plain(500, 'failed'));
      send(plain(error.kind === 'not-found' ? 404 : error.kind === 'usage' ? 400 : 503, error.message));
    });
  };
}

async function answer(
  request: IncomingMessage,
  { store, read, boardPort }: DashboardOptions,
): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'GET only');
  const url = URL.parse(request.url ?? '/', 'http://dashboard');
  if (!url) return plain(400, 'not an address');
  switch (url.pathname) {
    case '/style.css':
      return { status: 200, type: 'text/css', body: STYLE + MORE_STYLE };
    case '/script.js':
      return { status: 200, type: 'text/javascript', body: SCRIPT + LIVE };
    case '/healthz':
      return plain(200, 'alive');
    case '/': {
      // the Host header was checked
      const { hostname } = new URL(`http://${request.headers.host}`);
      const board = boardPort === undefined ? undefined : `http://${hostname}:${boardPort}/`;
      return page(formatOverview({ ...(await read()), board }));
    }
    case '/image': {
      const body = formatImage(await read(), url.searchParams.get('name') ?? '');
      return body === undefined ? plain(404, 'the last runs have made no patch to this image') : page(body);
    }
    case '/run': {
      const data = await readPageData(store, checkRunId(url.searchParams.get('id') ?? ''));
      return page(formatPage(data), PAGE_POLICY);
    }
    default:
      return plain(404, 'no such page');
  }
}

function page(body: string, policy = POLICY): Answer {
  return { status: 200, type: 'text/html', body, policy };
}

function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain', body: `${text}\n` };
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
