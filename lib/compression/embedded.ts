/** Functions of an instance, and its memory. */
export type Exports<Functions> = Functions & { readonly memory: WebAssembly.Memory };

/**
 * A module of wasm/, compiled once in a thread.
 *
 * @param code in base64
 * @returns makes an instance with memory of its own
 */
export function embeddedModule<Functions>(code: string): () => Exports<Functions> {
  let compiled: WebAssembly.Module | undefined;
  return () => {
    compiled ??= new WebAssembly.Module(Buffer.from(code, 'base64'));
    return new WebAssembly.Instance(compiled).exports as unknown as Exports<Functions>;
  };
}
