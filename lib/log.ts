import { destination, levels, pino, type Logger } from 'pino';
import { PanamaxError } from './errors.ts';

const LEVELS = [...Object.keys(levels.values), 'silent'];

/** Logs JSON lines to standard error, because standard output is for results. @throws PanamaxError `usage` */
export function createLog(level: string): Logger {
  if (!LEVELS.includes(level)) {
    throw new PanamaxError('usage', '--log-level', { expected: LEVELS.join(' or '), found: level });
  }
  return pino({ level, base: null }, destination(2));
}
