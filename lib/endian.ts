/** Whether words in memory are as files have them; where not, bytes are put together one by one. */
export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
