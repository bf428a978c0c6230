import { PanamaxError } from '../../lib/errors.ts';
import { readSecretLines } from '../../lib/runtime/http/secret.ts';
import type { Log } from '../../workers/context.ts';
import { createNotifier, type Notifier } from '../../workers/notify/notifier.ts';
import type { Arguments, Options } from '../command.ts';

export const NOTIFY_OPTIONS: Options = {
  notify: {
    type: 'string',
    multiple: true,
    takesOne: true,
    value: 'URL',
    env: true,
    help: 'post events there as CloudEvents: runs that end, patches that are published, failures',
  },
  'notify-secret-file': {
    type: 'string',
    value: 'FILE',
    env: true,
    help: 'sign events with the secret in this file (X-Hub-Signature-256)',
  },
};

/** @param store its name @returns undefined without --notify @throws PanamaxError `usage`, `not-found`, `io` */
export async function openNotifier(args: Arguments, store: string, log: Log): Promise<Notifier | undefined> {
  const urls = args.list('notify').map(parseUrl);
  const file = args.text('notify-secret-file');
  if (urls.length === 0) {
    if (file === undefined) return undefined;
    throw new PanamaxError('usage', 'no receiver of events', { expected: '--notify URL' });
  }
  const [secret] = file === undefined ? [] : await readSecretLines(file);
  return createNotifier({ urls, secret, store, log });
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new PanamaxError('usage', '--notify', { expected: 'http[s]://HOST[:PORT]/PATH', found: text });
}
