import { PanamaxError } from '../../../../../errors.ts';
import { AddressCache } from './addresscache.ts';
import { adler32 } from '../adler32.ts';
import { ADD, CODE_TABLE, COPY, NOOP, RUN } from '../codetable.ts';
import { readInteger } from '../integer.ts';
import type { PatchReader } from '../../../../patchreader.ts';
import type { RandomAccess } from '../../../../randomaccess.ts';
import type { SecondaryDecoder } from './secondary.ts';
import { Section } from './section.ts';
import { SourceCopies } from '../sourcecopies.ts';
import { TargetCopies } from './targetcopies.ts';
import { MAX_ADDRESS, type SectionName, type WindowHeader } from '../window.ts';

/** Bound of the instructions and of the addresses, as a multiple of the largest window. */
const SECTION_FACTOR = 2;

/** Builds target windows in one buffer that each window overwrites. */
export class WindowDecoder {
  readonly #source: RandomAccess;
  readonly #secondary: SecondaryDecoder | undefined;
  readonly #maxWindowSize: number;
  readonly #verify: boolean;
  readonly #cache = new AddressCache();
  readonly #sourceCopies = new SourceCopies();
  readonly #targetCopies = new TargetCopies();
  #buffer = new Uint8Array(0);

  constructor(
    source: RandomAccess,
    secondary: SecondaryDecoder | undefined,
    maxWindowSize: number,
    verify: boolean,
  ) {
    this.#source = source;
    this.#secondary = secondary;
    this.#maxWindowSize = maxWindowSize;
    this.#verify = verify;
  }

  /** Builds the target window whose sections `reader` is at. */
  async decode(header: WindowHeader, reader: PatchReader): Promise<Uint8Array> {
    this.#check(header);
    const { targetSize, segmentSize, segmentOffset } = header;
    const maxSection = SECTION_FACTOR * this.#maxWindowSize;
    const data = await this.#section('data', header, reader, targetSize);
    const instructions = await this.#section('instructions', header, reader, maxSection);
    const addresses = await this.#section('addresses', header, reader, maxSection);
    if (this.#buffer.length < targetSize) this.#buffer = new Uint8Array(targetSize);
    const window = this.#buffer.subarray(0, targetSize);
    this.#cache.reset();
    let at = 0;
    while (instructions.left > 0) {
      at = this.#collect(window, at, segmentSize, data, instructions, addresses);
      await this.#sourceCopies.run(this.#source, segmentOffset, window);
      this.#targetCopies.run(window);
    }
    if (at !== targetSize) {
      throw new PanamaxError('bad-patch', 'a window is not filled', { expected: targetSize, found: at });
    }
    for (const section of [data, instructions, addresses]) section.finish();
    if (this.#verify && header.adler32 !== undefined) compareChecksum(header.adler32, adler32(window));
    return window;
  }

  #check(header: WindowHeader): void {
    const { targetSize, segmentSize, segmentOffset } = header;
    if (targetSize > this.#maxWindowSize) throw tooLarge('a target window', this.#maxWindowSize, targetSize);
    if (segmentSize + targetSize > MAX_ADDRESS) {
      throw tooLarge('a window with its source segment', MAX_ADDRESS, segmentSize + targetSize);
    }
    if (segmentOffset + segmentSize > this.#source.size) {
      throw new PanamaxError('bad-patch', 'the patch reads behind the end of this source', {
        expected: `at most ${this.#source.size}`,
        found: segmentOffset + segmentSize,
      });
    }
  }

  async #section(
    name: SectionName,
    header: WindowHeader,
    reader: PatchReader,
    max: number,
  ): Promise<Section> {
    const stored = header.sizes[name];
    const maxStored = SECTION_FACTOR * this.#maxWindowSize;
    if (stored > maxStored) throw tooLarge('a section', maxStored, stored);
    const bytes = await reader.take(stored);
    if (!header.compressed[name]) return Section.plain(bytes);
    if (this.#secondary === undefined) {
      throw new PanamaxError('bad-patch', 'a compressed section in a patch that names no compressor');
    }
    const section = this.#secondary.section(name, bytes);
    if (section.left > max) throw tooLarge('a section', max, section.left);
    return section;
  }

  /**
   * Executes instructions until none is left or a collection of copies is nearly full. ADD and RUN are executed at
   * once, copies are collected.
   *
   * @returns the offset up to which the window is laid out
   */
  #collect(
    window: Uint8Array,
    start: number,
    segmentSize: number,
    data: Section,
    instructions: Section,
    addresses: Section,
  ): number {
    const { type1, size1, type2, size2 } = CODE_TABLE;
    let at = start;
    while (instructions.left > 0 && !this.#sourceCopies.nearlyFull && !this.#targetCopies.nearlyFull) {
      const opcode = instructions.byte();
      for (let half = 0; half < 2; half++) {
        const type = half === 0 ? type1[opcode]! : type2[opcode]!;
        if (type === NOOP) break;
        const fixed = half === 0 ? size1[opcode]! : size2[opcode]!;
        const size = fixed === 0 ? readInteger(instructions) : fixed;
        if (size > window.length - at) {
          throw new PanamaxError('bad-patch', 'an instruction goes beyond its window', {
            expected: `at most ${window.length - at}`,
            found: size,
          });
        }
        if (type === ADD) {
          data.readInto(window, at, at + size);
        } else if (type === RUN) {
          window.fill(data.byte(), at, at + size);
        } else {
          const address = this.#cache.read(type - COPY, segmentSize + at, addresses);
          if (address >= segmentSize) {
            this.#targetCopies.add(address - segmentSize, at, size);
          } else if (address + size <= segmentSize) {
            this.#sourceCopies.add(address, at, size);
          } else {
            throw new PanamaxError('bad-patch', 'a copy goes beyond the source segment', {
              expected: `at most ${segmentSize}`,
              found: address + size,
            });
          }
        }
        at += size;
      }
    }
    return at;
  }
}

function compareChecksum(expected: number, found: number): void {
  if (expected === found) return;
  throw new PanamaxError('bad-patch', 'wrong checksum: a damaged patch, or one made from another source', {
    expected: expected.toString(16),
    found: found.toString(16),
  });
}

function tooLarge(what: string, max: number, found: number): PanamaxError {
  return new PanamaxError('limit', `${what} is too large`, { expected: `at most ${max}`, found });
}
