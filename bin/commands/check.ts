import { PanamaxError } from '../../lib/errors.ts';
import { checkStore, type CheckReport } from '../../lib/retention/check.ts';
import { adviceFor, repairStore, type Repaired } from '../../lib/retention/repair.ts';
import { readVerifyKeys } from '../../lib/store/key.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { formatTable } from '../format.ts';
import { printResult, SITE_OPTIONS, STORE_OPTIONS } from '../options/session.ts';

export const checkCommand: Command = {
  summary: 'Checks that the objects of a store are whole and agree with each other.',
  operands: [],
  options: {
    'read-data': { type: 'boolean', help: 'read patches and signatures, too, and compare their digests' },
    repair: {
      type: 'boolean',
      help: 'remove bad objects, and write indexes and names again from sound ones',
    },
    ...pick(SITE_OPTIONS, 'verify-key'),
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'help'),
  },
  async run(args, signal) {
    const publicKeys = args.list('verify-key');
    const verify = publicKeys.length > 0 ? { verify: await readVerifyKeys(publicKeys) } : {};
    const store = await openStore(args.text('store')!, { signal, mustExist: true });
    const started = new Date();
    const report = await checkStore(store, { readData: args.flag('read-data'), signal, ...verify });
    const repaired = args.flag('repair') ? await repairStore(store, report, started, signal) : undefined;
    const advice = adviceFor(report.faults, report.names);
    const { faults, orphans, objects, expiring, unpatched } = report;
    printResult(
      args,
      { objects, faults, orphans, expiring, unpatched, ...(repaired && { repaired }), advice },
      formatReport(report, repaired, advice),
    );
    const left = repaired?.left ?? faults;
    if (left.length === 0) return;
    throw new PanamaxError('partial', 'the store is not sound', {
      found: `${left.length} faults`,
      where: store.where,
    });
  },
};

function formatReport(
  { faults, orphans, objects, expiring, unpatched }: CheckReport,
  repaired: Repaired | undefined,
  advice: readonly string[],
): string {
  const count = Object.values(objects).reduce((sum, one) => sum + one, 0);
  const lines: string[] = [];
  if (faults.length > 0) {
    const rows = faults.map(({ kind, key, what }) => [kind, key, what]);
    lines.push(formatTable([['FAULT', 'OBJECT', 'WHY'], ...rows], 3));
  }
  for (const key of orphans) lines.push(`orphan ${key}`);
  for (const { name, platform, expires } of expiring) lines.push(`${name} ${platform} expires at ${expires}`);
  if (unpatched.length > 0) {
    const some = unpatched.slice(0, 3).map(({ name }) => name);
    const more = unpatched.length > some.length ? ', ...' : '';
    lines.push(
      `${unpatched.length} names of images without patches, pulled whole: ${some.join(', ')}${more}`,
    );
  }
  if (repaired) {
    const { removed, rewritten, left } = repaired;
    for (const key of removed) lines.push(`removed ${key}`);
    for (const key of rewritten) lines.push(`rewritten ${key}`);
    for (const { key } of left) lines.push(`left ${key}`);
  }
  for (const line of advice) lines.push(`to have it again: ${line}`);
  lines.push(`${count} objects, ${faults.length} faults, ${orphans.length} orphans`);
  return lines.join('\n');
}
