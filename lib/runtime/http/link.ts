/** A link of a `Link` header (RFC 8288). */
export interface Link {
  /** URL reference, relative to the request's URL. */
  readonly target: string;
  /** By name in lower case. Of a repeated parameter the first one counts (RFC 8288, 3.3). */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface ParsedLinks {
  readonly links: readonly Link[];
  /** What follows the last readable link; '' for a well-formed header. */
  readonly rest: string;
}

const SEPARATORS = /[\s,]*/y;
const TARGET = /<([^>]*)>/y;
/** Empty parameters, a name, and a value that is quoted or not (RFC 8288, 3 and B.3). */
const PARAMETER = /\s*;[\s;]*(?:([\w!#$%&'*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?)?/y;
const END = /\s*(?:,|$)/y;

/** Parses the value of a `Link` header, or several values that are joined by commas. */
export function parseLinks(header: string): ParsedLinks {
  const links: Link[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header) ?? undefined;
    if (match) at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(SEPARATORS);
    const start = at;
    const target = take(TARGET)?.[1];
    const parameters = new Map<string, string>();
    for (let match = target === undefined ? undefined : take(PARAMETER); match; match = take(PARAMETER)) {
      const [, name, quoted, plain = ''] = match;
      const key = name?.toLowerCase();
      if (key === undefined || parameters.has(key)) continue;
      parameters.set(key, quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, '$1'));
    }
    if (target === undefined || !take(END)) return { links, rest: header.slice(start) };
    links.push({ target: target.trim(), parameters });
  }
}
