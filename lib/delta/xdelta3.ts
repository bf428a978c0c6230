import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PanamaxError } from '../errors.ts';

/** Encodes with the `xdelta3` program: what the delta engine replaces. */
export async function encodeWithXdelta3(
  source: string,
  target: string,
  output: string,
  appHeader: string,
): Promise<void> {
  const args = [
    '-e',
    '-f',
    '-9',
    '-S',
    'lzma',
    '-B',
    '1000000000',
    `-A=${appHeader}`,
    '-s',
    source,
    target,
    output,
  ];
  const child = spawn('xdelta3', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (text += piece.slice(0, 1000)));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new PanamaxError('internal', `xdelta3 failed: ${text}`, { where: target });
}
