/** `--external NAME=IP`. */
import { canonicalAddress } from '../cluster/addresses.ts';
import { InputError } from './exit-code.ts';

/** @throws InputError */
export function parseExternal(text: string): { readonly name: string; readonly address: string } {
  const at = text.indexOf('=');
  const name = text.slice(0, at);
  const address = canonicalAddress(text.slice(at + 1));
  if (at < 1 || address === undefined)
    throw new InputError(`--external ${text}: expected NAME=IP, such as client=203.0.113.9`);
  if (!/^[A-Za-z0-9][-.\w]*$/.test(name))
    throw new InputError(`--external ${text}: a name has letters, digits, hyphens and dots`);
  return { name, address };
}
