import { PanamaxError } from '../errors.ts';

/** A span of time in each day, local time. Minutes since midnight; it may pass midnight. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** Parses `HH:MM-HH:MM`. @throws PanamaxError `usage` */
export function parseWindow(text: string): Window {
  const [, ...digits] = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  const [fromHour, fromMinute, toHour, toMinute] = digits.map(Number);
  const window = { from: fromHour! * 60 + fromMinute!, to: toHour! * 60 + toMinute! };
  if (digits.length === 4 && window.from !== window.to) return window;
  throw new PanamaxError('usage', '--window', { expected: 'HH:MM-HH:MM, such as 22:00-05:00', found: text });
}

export function isOpen({ from, to }: Window, time: Date): boolean {
  const minute = time.getHours() * 60 + time.getMinutes();
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}
