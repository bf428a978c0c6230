/** A challenge of the `WWW-Authenticate` header (RFC 9110, 11.6.1; distribution, "Token Authentication"). */
export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))`, 'g');
const MAX_LENGTH = 8192;

/** Parses the first bearer challenge, or the first basic one: a token grants less than a password. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined;
  const parts = header.split(/(?:^|,)\s*(?=(?:basic|bearer)(?:\s|$|,))/i).filter(Boolean);
  const challenges = parts.flatMap((part): Challenge[] => {
    const scheme = /^(basic|bearer)\b/i.exec(part)?.[1]?.toLowerCase();
    if (scheme !== 'basic' && scheme !== 'bearer') return [];
    const parameters: Record<string, string> = {};
    for (const [, name, quoted, plain] of part.slice(scheme.length).matchAll(PARAMETER)) {
      parameters[name!.toLowerCase()] ??= quoted === undefined ? plain! : quoted.replaceAll(/\\(.)/g, '$1');
    }
    return [{ scheme, parameters }];
  });
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges[0];
}
