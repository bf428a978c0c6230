/** The instructions of a target window, in order: bytes to add and places of the source to copy. */
export class Instructions {
  count = 0;
  /** Size in the target, in bytes; never 0. */
  sizes = new Uint32Array(1024);
  /** Offset in the source of a copy; -1 for an add. */
  sources = new Float64Array(1024);

  clear(): void {
    this.count = 0;
  }

  add(size: number): void {
    const last = this.count - 1;
    if (last >= 0 && this.sources[last] === -1) this.sizes[last]! += size;
    else this.#push(size, -1);
  }

  copy(size: number, source: number): void {
    const last = this.count - 1;
    const joins =
      last >= 0 && this.sources[last] !== -1 && source === this.sources[last]! + this.sizes[last]!;
    if (joins) this.sizes[last]! += size;
    else this.#push(size, source);
  }

  #push(size: number, source: number): void {
    if (size === 0) return;
    if (this.count === this.sizes.length) {
      const sizes = this.sizes;
      const sources = this.sources;
      this.sizes = new Uint32Array(2 * this.count);
      this.sources = new Float64Array(2 * this.count);
      this.sizes.set(sizes);
      this.sources.set(sources);
    }
    this.sizes[this.count] = size;
    this.sources[this.count++] = source;
  }
}
