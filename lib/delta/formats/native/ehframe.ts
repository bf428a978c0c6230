/** Call frame information (Linux Standard Base 5.0, section 10.6.1): records of which most describe a function each. */

/** Of a record: its length, how far back its common record is (0 of such a one), the function's address. */
export const BACK_AT = 4;
export const FUNCTION_AT = 8;
const SMALLEST = 16;

/** Offsets in the section of the records that describe functions; stops at bytes that are no record. */
export function functionRecords(section: Buffer): Int32Array {
  const records: number[] = [];
  for (let at = 0; at + SMALLEST <= section.length;) {
    const length = section.readUInt32LE(at);
    const next = at + 4 + length;
    // 0 ends the section, all ones announce 64 bits
    if (length < SMALLEST - 4 || next > section.length) break;
    if (section.readUInt32LE(at + BACK_AT) !== 0) records.push(at);
    at = next;
  }
  return Int32Array.from(records);
}
