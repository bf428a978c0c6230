import { PanamaxError } from '../errors.ts';
import { asRecord, parseDocument } from '../json.ts';
import { checkScope } from '../run/record.ts';
import { parseOutcome } from '../run/outcome.ts';
import { reportPartSchema, summarySchema } from '../run/report.ts';
import { parseRequest, parseRequestPage } from '../run/request.ts';
import { isStage } from '../run/stage.ts';
import { parseWith } from '../schema.ts';

/**
 * Checks one document of a run's record. Documents of other versions are only parsed.
 *
 * @param key `runs/<id>/...`
 * @throws PanamaxError `bad-input`
 */
export function checkRunDocument(key: string, bytes: Uint8Array, where: string): void {
  const [, id, first, second, third] = key.split('/');
  const name = [first, second, third].filter((part) => part !== undefined).join('/');
  if (name === 'run.json') checkId(id!, parseRequest(bytes, where).id, where);
  else if (name === 'report.json') checkId(id!, parseWith(summarySchema, bytes, where).id, where);
  else if (first === 'run') parseRequestPage(bytes, where);
  else if (first === 'report') parseWith(reportPartSchema, bytes, where);
  else if (first === 'scopes') checkScope(bytes, where);
  else if (first === 'outcomes' && isStage(second)) parseOutcome(second, bytes, where);
  else asRecord(parseDocument(bytes, where), where);
}

function checkId(expected: string, found: string, where: string): void {
  if (found === expected) return;
  throw new PanamaxError('bad-input', 'document of another run', { expected, found, where });
}
