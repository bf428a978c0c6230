/** Documents of a store after a backfill. An input is a key, a line feed and the document. */
import { join } from 'node:path';
import { parseCalibrations, serializeCalibrations } from '../../../lib/pairing/calibration.ts';
import { parseRanking } from '../../../lib/pairing/ranking.ts';
import { parseSignature } from '../../../lib/pairing/signature/stored.ts';
import { checkRunDocument } from '../../../lib/retention/checkruns.ts';
import { parseCompressionRecord } from '../../../lib/store/compressions.ts';
import { keys } from '../../../lib/store/keys.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { runBackfill } from '../../support/backfill.ts';
import type { Scope } from '../../support/scope.ts';
import { unsealed } from '../../support/unsealed.ts';
import { smallImages } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const WHERE = 'store';

const PARSERS: Readonly<Record<string, (bytes: Buffer, key: string) => unknown>> = {
  signatures: (bytes) => parseSignature(bytes, WHERE),
  compressions: (bytes) => parseCompressionRecord(bytes, WHERE),
  pairings: (bytes) => parseRanking(bytes, WHERE),
  runs: (bytes, key) => checkRunDocument(key, bytes, WHERE),
  [keys.calibration]: (bytes) => parseCalibrations(bytes, WHERE),
};

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { directory } = await smallImages(scope);
  await runBackfill(directory, ['source', 'target'], { top: 2 });
  const store = await openDirectoryStore(join(directory, 'store'));
  const seeds = new Map<string, Buffer>();
  const add = (key: string, bytes: Buffer) => {
    const kind = key.replaceAll(/[0-9a-f]{16,}|\d{6,}/g, '');
    if (PARSERS[key.split('/')[0]!]) {
      const document = key.endsWith('.json') ? unsealed(bytes) : bytes;
      seeds.set(kind, Buffer.concat([Buffer.from(`${key}\n`), document]));
    }
  };
  for (const part of ['signatures', 'compressions', 'pairings', 'runs']) {
    for await (const key of store.list(`${part}/`)) add(key, (await store.get(key))!);
  }
  add(keys.calibration, serializeCalibrations({ xdelta: { changed: 1.2, new: 0.9 } }));
  return {
    seeds: [...seeds.values()],
    kinds: ['bad-input', 'limit'],
    run(input) {
      const end = input.indexOf('\n');
      const key = input.toString('latin1', 0, Math.max(end, 0));
      return PARSERS[key.split('/')[0]!]?.(input.subarray(end + 1), key);
    },
    head: (input) => input.indexOf('\n') + 1,
  };
}
