import { PanamaxError } from '../errors.ts';
import type { FormatName, PatchFormat } from './format.ts';
import { native } from './formats/native/format.ts';
import { ociDelta } from './formats/ocidelta/format.ts';
import { xdelta } from './formats/xdelta/format.ts';

/** The list of patch formats, in the order in which commands show them. */
const formats: PatchFormat[] = [native, xdelta, ociDelta];

/** The format of commands that are given none; candidates are ranked by its predictions. */
export const DEFAULT_FORMAT: PatchFormat = native;

export function patchFormats(): readonly PatchFormat[] {
  return formats;
}

export function formatNames(): FormatName[] {
  return formats.map(({ name }) => name);
}

/** Undefined for a name that is not in the list. */
export function findFormat(name: unknown): PatchFormat | undefined {
  return formats.find((format) => format.name === name);
}

/** @throws PanamaxError `internal` for a name that was not checked where it was read */
export function formatNamed(name: FormatName): PatchFormat {
  const format = findFormat(name);
  if (format) return format;
  throw new PanamaxError('internal', 'unknown patch format', {
    expected: formatNames().join(' or '),
    found: name,
  });
}

/** The first format that takes these bytes for the beginning of a patch. */
export function recognizeFormat(head: Buffer): PatchFormat | undefined {
  return formats.find((format) => format.recognizes(head));
}

/** Adds a format to the list of this process until the result is disposed. For tests of the contract. */
export function addFormat(format: PatchFormat): Disposable {
  formats.push(format);
  return { [Symbol.dispose]: () => void formats.splice(formats.indexOf(format), 1) };
}
