/** Auxiliary caches of ldconfig (glibc, elf/cache.c). */
import { createRandom } from './random.ts';

interface Entry {
  readonly fields: readonly bigint[];
  readonly slot: number;
  readonly name: string;
}

/**
 * A cache of some libraries as ldconfig orders them.
 *
 * @param inode of the first library
 * @param time of the first change
 */
export function buildAuxCache(count: number, inode: number, time: number): Buffer {
  const random = createRandom(count);
  const entries = Array.from({ length: count }, (_, i): Entry => {
    const size = BigInt(1000 + random.below(500_000));
    const fields = [BigInt(inode + 2 * i), BigInt(time + (i >> 5)), size, 39n];
    return {
      fields,
      slot: slotOf(fields),
      name: i % 9 === 0 ? '' : `lib${random.text(6).trim()}.so.${i % 7}`,
    };
  });
  entries.sort((a, b) => a.slot - b.slot);
  const strings = Buffer.from(`\0${entries.map(({ name }) => (name === '' ? '' : `${name}\0`)).join('')}`);
  const head = Buffer.alloc(32);
  head.write('glibc-ld.so.auxcache-2.0', 'latin1');
  head.writeUInt32LE(count, 24);
  head.writeUInt32LE(strings.length, 28);
  let nameAt = 1;
  const rows = entries.map(({ fields, name }, i) => {
    const row = Buffer.alloc(48);
    for (const [k, field] of fields.entries()) row.writeBigUInt64LE(field, 8 * k);
    row.writeUInt32LE(0x303, 32);
    row.writeUInt32LE(name === '' ? 0 : nameAt, 36);
    row.write(['/lib', 'x86_', '64-l'][i % 3]!, 44, 'latin1');
    if (name !== '') nameAt += name.length + 1;
    return row;
  });
  return Buffer.concat([head, ...rows, strings]);
}

function slotOf(fields: readonly bigint[]): number {
  const hash = fields.reduce((sum, field) => BigInt.asUintN(64, sum * 11n + field), 0n);
  return Number(BigInt.asUintN(32, hash ^ (hash >> 32n)) % 1021n);
}
