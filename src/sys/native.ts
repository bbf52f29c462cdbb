import koffi from 'koffi';

const libc = process.platform === 'linux' ? koffi.load(null) : undefined;

/**
 * Returns a function of the C library by its C declaration. On systems other than Linux the
 * function throws when it is called, not before, so that what needs no system call works there,
 * too.
 */
// biome-ignore lint/suspicious/noExplicitAny: the C declaration has the types.
export function libcFunction(declaration: string): (...parameters: any[]) => any {
  if (libc !== undefined) return libc.func(declaration);
  return () => {
    throw new Error(`${declaration}: needs Linux`);
  };
}
