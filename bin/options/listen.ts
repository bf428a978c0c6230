import { PanamaxError } from '../../lib/errors.ts';

/** Parses an address; the default host is 127.0.0.1. @throws PanamaxError `usage` */
export function parseListen(text: string, option: string): { host: string; port: number } {
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match && port <= 65_535) return { host: match[1]?.replace(/^\[|\]$/g, '') ?? '127.0.0.1', port };
  throw new PanamaxError('usage', option, { expected: '[HOST:]PORT', found: text });
}
