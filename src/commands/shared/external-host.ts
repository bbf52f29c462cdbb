/** `--external NAME=IP`, and other options of that form. */
import { canonicalTypedAddress } from '../../cluster/typed-addresses.ts';
import { InputError } from './exit-code.ts';

export interface NamedAddress {
  readonly name: string;
  readonly address: string;
}

/** @throws InputError */
export function parseExternal(text: string): NamedAddress {
  return parseNamedAddress('--external', text);
}

/** @throws InputError */
export function parseNamedAddress(option: string, text: string): NamedAddress {
  const at = text.indexOf('=');
  const name = text.slice(0, at);
  const address = canonicalTypedAddress(text.slice(at + 1));
  if (at < 1 || address === undefined)
    throw new InputError(`${option} ${text}: expected NAME=IP, such as client=203.0.113.9`);
  if (!/^[A-Za-z0-9][-.\w]*$/.test(name))
    throw new InputError(`${option} ${text}: a name has letters, digits, hyphens and dots`);
  return { name, address };
}
