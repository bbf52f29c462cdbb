/** Exit codes of all commands, and the errors that stand for them. */
export const ExitCode = {
  ok: 0,
  /** Something is not as the policies say. */
  differs: 1,
  /** Wrong arguments, or manifests with errors. */
  badInput: 2,
  /** It cannot work here: no root, no Linux, a kernel without what is needed, no answer. */
  unavailable: 3,
  interrupted: 130,
  terminated: 143,
} as const;

/** Returns the exit code for an error that ends a command. */
export function exitCodeOf(error: unknown): number {
  return error instanceof InputError ? ExitCode.badInput : ExitCode.unavailable;
}

/** Wrong input, explained in one line. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** Something that cannot work here, explained in one line. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}
