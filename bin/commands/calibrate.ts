import { calibrate } from '../../workers/pairing/calibration.ts';
import { COMMON, type Command } from '../command.ts';
import { formatTable } from '../format.ts';
import { printResult, STORE_OPTIONS, withContext } from '../options/session.ts';

export const calibrateCommand: Command = {
  summary: 'Calibrates predicted sizes by the patches in the store.',
  operands: [],
  options: { ...STORE_OPTIONS, ...COMMON },
  async run(args, signal) {
    await withContext(args, signal, async ({ store }) => {
      const formats = await calibrate(store, signal);
      const rows = formats.map(({ format, calibration, pairs, known }) => [
        format,
        calibration.changed.toFixed(2),
        calibration.new.toFixed(2),
        pairs === known ? String(pairs) : `${pairs} of ${known}`,
      ]);
      const calibrations = Object.fromEntries(formats.map((one) => [one.format, one.calibration]));
      const pairs = formats.reduce((sum, one) => sum + one.pairs, 0);
      const known = formats.reduce((sum, one) => sum + one.known, 0);
      const table = formatTable([['FORMAT', 'CHANGED', 'NEW', 'FROM PATCHES'], ...rows], 1);
      printResult(args, { pairs, known, calibrations }, table);
    });
  },
};
