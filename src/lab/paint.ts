/** Colours on a terminal (ECMA-48 select graphic rendition). */

const CODES = {
  bold: '1',
  dim: '2',
  green: '32',
  yellow: '33',
  red: '31',
  /** Bold white on red. */
  alarm: '1;37;41',
} as const;

export type Colour = keyof typeof CODES;

export function paint(text: string, colour: Colour, enabled: boolean): string {
  return enabled ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text;
}

/**
 * Whether a stream shows colours: it is a terminal, and NO_COLOR (https://no-color.org) is not set.
 */
export function showsColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
}
