import { calibrate } from '../../workers/calibration.ts';
import { COMMON, operandCount, type Command } from '../command.ts';
import { formatTable } from '../format.ts';
import { printResult, STORE_OPTION, withContext } from '../session.ts';

const USAGE = '[options]';

export const calibrateCommand: Command = {
  summary: 'Adjusts predicted sizes to the patches that the store has.',
  usage: USAGE,
  options: { ...STORE_OPTION, ...COMMON },
  async run(args, signal) {
    operandCount(args, 0, 0, USAGE);
    await withContext(args, signal, async ({ store }) => {
      const { calibrations, pairs } = await calibrate(store, signal);
      const rows = Object.entries(calibrations).map(([format, one]) => [
        format,
        one.changed.toFixed(2),
        one.new.toFixed(2),
      ]);
      const table = formatTable([['FORMAT', 'CHANGED', 'NEW'], ...rows], 1);
      printResult(args, { pairs, calibrations }, `${table}\nfrom ${pairs} patches`);
    });
  },
};
