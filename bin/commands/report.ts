import { writeFile } from 'node:fs/promises';
import { checkRunId } from '../../lib/run/request.ts';
import { replaceFile } from '../../lib/runtime/file.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { outputFile, printResult, STORE_OPTIONS } from '../options/session.ts';
import { readPageData } from '../report/data.ts';
import { formatPage } from '../report/page.ts';

export const reportCommand: Command = {
  summary: 'Writes a page about a run: savings, chosen sources, predictions, times, failures.',
  operands: ['RUN'],
  options: {
    output: outputFile('HTML file that needs no other file and no network; - is standard output'),
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'json', 'help'),
  },
  async run(args, signal) {
    const store = await openStore(args.text('store')!, { signal, failFast: true, mustExist: true });
    const data = await readPageData(store, checkRunId(args.operands[0]!));
    const page = formatPage(data);
    const output = args.text('output')!;
    if (output === '-') {
      process.stdout.write(page);
      return;
    }
    await replaceFile(output, (part) => writeFile(part, page));
    printResult(args, { run: data.run, output, size: Buffer.byteLength(page) }, `${output}: run ${data.run}`);
  },
};
