import { readSecrets } from '../../lib/runtime/http/secret.ts';
import type { BoardOptions } from '../../lib/web/board.ts';
import type { Arguments, Options } from '../command.ts';
import { parseListen } from './listen.ts';

export const BOARD_OPTIONS: Options = {
  board: {
    type: 'string',
    value: '[HOST:]PORT',
    env: true,
    help: 'serve a page of the queues (Bull Board) over HTTP, which changes nothing (default: off)',
  },
  'board-secret-file': {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'secrets, each on a line; the board asks for one as the password, and then also retries, removes and pauses',
  },
};

/** Undefined without --board. @throws PanamaxError `usage`, `not-found`, `io` */
export async function readBoardOptions(args: Arguments): Promise<Omit<BoardOptions, 'titleOf'> | undefined> {
  const address = args.text('board');
  if (address === undefined) return undefined;
  const file = args.text('board-secret-file');
  return {
    listen: { ...parseListen(address, '--board'), names: args.list('allow-host') },
    secrets: file === undefined ? undefined : await readSecrets(file),
  };
}
