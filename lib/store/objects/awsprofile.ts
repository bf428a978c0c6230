import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PanamaxError } from '../../errors.ts';
import { isMissingFile } from '../../runtime/file.ts';

/** Settings of a profile by name, such as `aws_access_key_id` and `region`. */
export type Profile = ReadonlyMap<string, string>;

/**
 * Reads a profile of the shared credentials and config files of AWS programs: `AWS_PROFILE` of
 * `AWS_SHARED_CREDENTIALS_FILE` (by default `~/.aws/credentials`) and of `AWS_CONFIG_FILE` (`~/.aws/config`). Where both
 * have a setting, the first file's counts.
 *
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 * @returns an empty profile if neither file has it and `AWS_PROFILE` does not name it
 * @throws PanamaxError `usage` for a named profile that no file has, or a file that cannot be read
 */
export async function readProfile(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Profile> {
  const named = environment['AWS_PROFILE'];
  const name = named || 'default';
  const config = environment['AWS_CONFIG_FILE'] || inHome('config');
  const credentials = environment['AWS_SHARED_CREDENTIALS_FILE'] || inHome('credentials');
  const places = [
    [config, name === 'default' ? name : `profile ${name}`],
    [credentials, name],
  ] as const;
  const profile = new Map<string, string>();
  let isFound = false;
  for (const [path, title] of places) {
    const section = parseSections(await readIfThere(path)).get(title);
    isFound ||= section !== undefined;
    for (const [key, value] of section ?? []) profile.set(key, value);
  }
  if (isFound || !named) return profile;
  throw new PanamaxError('usage', 'no such AWS profile', {
    expected: `[${name}] in ${credentials} or [profile ${name}] in ${config}`,
    found: `AWS_PROFILE=${name}`,
  });
}

const inHome = (file: string) => join(homedir(), '.aws', file);

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissingFile(error)) return '';
    throw new PanamaxError('usage', 'AWS settings cannot be read', { where: path }, { cause: error });
  }
}

/** Nested settings, which are indented, are left out. */
function parseSections(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const title = /^\[\s*(.*?)\s*\]/.exec(line)?.[1]?.replaceAll(/\s+/g, ' ');
    if (title !== undefined) {
      section = sections.get(title) ?? new Map<string, string>();
      sections.set(title, section);
    } else {
      const [, key, value] = /^([^\s#;=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined) section?.set(key.toLowerCase(), value!);
    }
  }
  return sections;
}
