import { destination, pino, type Logger } from 'pino';

/** Structured lines on standard error; standard output belongs to results. */
export function createLog(level: string): Logger {
  return pino({ level, base: null }, destination(2));
}
