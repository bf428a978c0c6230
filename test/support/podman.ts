/** podman with its own storage, for one test. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scope } from './scope.ts';
import { temporaryDirectory } from './directory.ts';
import { commandOf, type EngineUser } from './engineuser.ts';

export async function makePodman(scope: Scope): Promise<EngineUser> {
  const directory = await temporaryDirectory(scope);
  const storage = join(directory, 'storage.conf');
  const [graph, run] = ['graph', 'run'].map((name) => JSON.stringify(join(directory, name)));
  await writeFile(storage, `[storage]\ndriver = "vfs"\ngraphroot = ${graph}\nrunroot = ${run}\n`);
  const env = { ...process.env, CONTAINERS_STORAGE_CONF: storage };
  return { env, command: commandOf('podman', env) };
}
