import koffi from 'koffi';

const libc = process.platform === 'linux' ? koffi.load(null) : undefined;

/**
 * A function of the C library, by its declaration in C. Elsewhere than on Linux it throws when it is called, and not before: what
 * needs no system call works there too.
 */
// biome-ignore lint/suspicious/noExplicitAny: the declaration tells the types, not TypeScript.
export function libcFunction(declaration: string): (...parameters: any[]) => any {
  if (libc !== undefined) return libc.func(declaration);
  return () => {
    throw new Error(`${declaration}: needs Linux`);
  };
}
