import { PanamaxError } from '../../errors.ts';
import { asArray, asRecord, asString, parseDocument } from '../../json.ts';
import { openRepository, type RepositoryOptions } from './registry.ts';
import { readPages } from './pages.ts';
import { registryError } from './error.ts';

const MAX_REPOSITORIES = 100_000;
/** Access that tokens must grant (distribution, "Token Scope Documentation"). */
const SCOPE = 'registry:catalog:*';

/**
 * Lists the repositories of a registry in its order (distribution, "Listing Repositories"). Many public registries refuse
 * this.
 *
 * @param registry HOST[:PORT]
 * @throws PanamaxError `not-found` or `io` if the registry has no catalog or refuses it, `bad-input`, `limit`
 */
export async function* listRepositories(
  registry: string,
  options: RepositoryOptions,
): AsyncGenerator<string> {
  const where = `${registry} catalog`;
  // the name is of no consequence: only the session is used
  const client = openRepository({ registry, repository: '_catalog' }, options, SCOPE);
  const first = new URL('/v2/_catalog', client.session.origin);
  first.searchParams.set('n', '1000');
  const read = async (address: URL) => {
    try {
      return await client.getDocument(address, 'application/json');
    } catch (error) {
      throw registryError(error, where);
    }
  };
  let count = 0;
  for await (const names of readPages(first, read, parseNames, where)) {
    count += names.length;
    if (count > MAX_REPOSITORIES) {
      throw new PanamaxError('limit', 'too many repositories', {
        expected: `at most ${MAX_REPOSITORIES}`,
        where,
      });
    }
    yield* names;
  }
}

function parseNames(bytes: Buffer, where: string): string[] {
  const { repositories } = asRecord(parseDocument(bytes, where), where);
  return asArray(repositories ?? [], where).map((name) => asString(name, where));
}
