import type { IncomingHttpHeaders } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import { parseLinks } from '../../runtime/http/link.ts';

/** Pages without an entry that a listing may have, so that a hostile registry cannot keep a client for ever. */
const MAX_EMPTY_PAGES = 100;

export interface Page {
  readonly bytes: Buffer;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Reads a listing page by page, to its last page.
 *
 * @param read throws if a page cannot be read
 * @param parse the entries of a page
 * @param where the listing, for messages
 * @throws PanamaxError `bad-input` if it is unclear which page is next, `limit` for too many empty pages
 */
export async function* readPages<Entry>(
  first: URL,
  read: (address: URL) => Promise<Page>,
  parse: (bytes: Buffer, where: string) => Entry[],
  where: string,
): AsyncGenerator<Entry[]> {
  const visited = new Set<string>();
  let emptyPages = 0;
  for (let address: URL | undefined = first; address;) {
    visited.add(address.href);
    const { bytes, headers } = await read(address);
    const entries = parse(bytes, where);
    yield entries;
    if (entries.length === 0 && ++emptyPages > MAX_EMPTY_PAGES) {
      throw new PanamaxError('limit', 'too many empty pages', {
        expected: `at most ${MAX_EMPTY_PAGES}`,
        where,
      });
    }
    address = nextPage(headers, address, where);
    if (address && visited.has(address.href)) {
      throw new PanamaxError('bad-input', 'the pages of the list form a circle', {
        found: address.href,
        where,
      });
    }
  }
}

/**
 * URL of the next page. It is on the registry's own origin: behind a proxy a registry may name its internal host, and
 * credentials stay with the registry.
 *
 * @param base URL of the request
 * @returns undefined on the last page
 * @throws PanamaxError `bad-input` for a header that names a next page in an unreadable way
 */
export function nextPage({ link }: IncomingHttpHeaders, base: URL, where: string): URL | undefined {
  const header = Array.isArray(link) ? link.join(', ') : (link ?? '');
  const { links, rest } = parseLinks(header);
  for (const { target, parameters } of links) {
    // apostrophes quote nothing in RFC 8288, but without the link the list would silently be shorter
    const relations =
      parameters
        .get('rel')
        ?.toLowerCase()
        .replace(/^'(.*)'$/, '$1')
        .split(/\s+/) ?? [];
    const anchor = parameters.get('anchor');
    // a link with another context does not belong to this list
    if (!relations.includes('next') || (anchor !== undefined && !isSame(anchor, base))) continue;
    const url = URL.parse(target, base.href);
    if (!url || !/^https?:$/.test(url.protocol)) throw unreadable(header, where);
    const own = new URL(base);
    own.pathname = url.pathname;
    own.search = url.search;
    return own;
  }
  if (/\bnext\b/i.test(rest)) throw unreadable(header, where);
  return undefined;
}

function isSame(anchor: string, base: URL): boolean {
  return URL.parse(anchor, base.href)?.href === base.href;
}

function unreadable(header: string, where: string): PanamaxError {
  return new PanamaxError('bad-input', 'unreadable link to the next page', { found: header, where });
}
