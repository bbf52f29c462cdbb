/**
 * Names and ports in API objects, checked by the API server's own rules
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, IANA service names:
 * RFC 6335 section 5.1).
 */
import type { Correction, Field } from './field.ts';
import { describe, show } from './field.ts';
import { didYouMean, editDistance } from './nearest.ts';
import type { Labels, Protocol } from './records.ts';

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

const DNS_SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const PORT_NAME = /^(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** What identifies an object. */
export interface Identity {
  /** Undefined if there is no usable one. */
  readonly name: string | undefined;
  readonly namespace: string;
  readonly labels: Labels;
}

const METADATA_FIELDS = ['name', 'namespace', 'labels', 'annotations'];

/**
 * Reads an object's `metadata`. A value that lacks quotes, or should be in lower case, is a
 * problem, and is read as it was meant.
 */
export function readIdentity(metadata: Field, defaultNamespace: string): Identity {
  for (const key of metadata.keys()) {
    const meant = METADATA_FIELDS.find((known) => isSlipOf(known, key));
    if (meant === undefined) continue;
    const isFree = metadata.child(meant).isAbsent;
    metadata.child(key).unknownField(`Did you mean ${meant}?`, isFree ? { renameTo: meant } : undefined);
  }
  const nameField = metadata.child('name');
  const name = readName(nameField);
  if (name === undefined && metadata.isClean) nameField.problem('the object has no name');
  return {
    name,
    namespace: readName(metadata.child('namespace')) ?? defaultNamespace,
    labels: readLabels(metadata.child('labels')),
  };
}

/**
 * Whether `key` is a slip for `known`. Metadata has many fields, and later versions of the API may
 * add more, so only a key this close to a known one is a problem.
 */
function isSlipOf(known: string, key: string): boolean {
  return key !== known && key.length <= 16 && editDistance(key.toLowerCase(), known) <= (known.length > 4 ? 2 : 1);
}

function readName(field: Field): string | undefined {
  const text = field.value === '' ? undefined : (field.text() ?? meantText(field.value));
  if (text === undefined || isName(text)) return text;
  const meant = text.toLowerCase().replaceAll(/[_ ]/g, '-');
  const hint = isName(meant) ? `Did you mean ${meant}?` : undefined;
  field.problem(`${show(text)} is not a name; names have lower case letters, digits, '-' and '.'`, hint);
  return isName(meant) ? meant : undefined;
}

/** Whether the text is a DNS-1123 subdomain. */
function isName(text: string): boolean {
  return text.length <= 253 && DNS_SUBDOMAIN.test(text);
}

/**
 * Reads a map of labels. Values must be texts: YAML reads `true`, `yes` and `1.0` as something
 * else. Such a value is a problem, and is read as its text, so that the selectors meant for it
 * still match.
 */
export function readLabels(field: Field): Labels {
  const labels: [string, string][] = [];
  for (const key of field.keys()) {
    const value = field.child(key);
    checkLabelKey(value, key);
    // The API server reads null as the empty text.
    const text = value.isAbsent ? '' : (value.text() ?? meantText(value.value));
    if (text === undefined) continue;
    if (value.isClean) checkLabelValue(value, text);
    labels.push([key, text]);
  }
  return Object.fromEntries(labels);
}

function meantText(value: unknown): string | undefined {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** Reports a problem of `field` if `key` is not a label key, `[DNS subdomain/]name`. */
export function checkLabelKey(field: Field, key: string): void {
  const slash = key.lastIndexOf('/');
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  const prefixGood = prefix === undefined || isName(prefix);
  if (prefixGood && name.length <= 63 && LABEL_NAME.test(name)) return;
  field.problem(`${show(key)} is not a label key; keys look like app or app.kubernetes.io/name`);
}

/** Reports a problem of `field` if `value` is not a label value; it may be empty. */
export function checkLabelValue(field: Field, value: string): void {
  if (value === '' || (value.length <= 63 && LABEL_NAME.test(value))) return;
  const meant = value.trim().replaceAll(/\s+/g, '-');
  field.problem(
    `${show(value)} is not a label value; values have up to 63 letters, digits, '-', '_' and '.'`,
    value.length <= 63 && LABEL_NAME.test(meant) ? `Did you mean ${meant}?` : undefined,
  );
}

/** Reads a protocol; TCP if absent. Anything else is a problem and gives undefined. */
export function readProtocol(field: Field): Protocol | undefined {
  if (field.isAbsent) return 'TCP';
  const known = PROTOCOLS.find((protocol) => protocol === field.value);
  if (known !== undefined) return known;
  field.problem(
    `${typeof field.value === 'string' ? show(field.value) : describe(field.value)} is not a protocol; protocols are ${PROTOCOLS.join(', ')}`,
    typeof field.value === 'string' ? protocolHint(field.value) : undefined,
    otherCase(field.value, PROTOCOLS),
  );
  return undefined;
}

/** Returns the correction of a keyword in the wrong case; the API accepts one case only. */
export function otherCase(value: unknown, keywords: readonly string[]): { readonly correction?: Correction } {
  const meant = keywords.find((keyword) => typeof value === 'string' && keyword.toLowerCase() === value.toLowerCase());
  return meant === undefined ? {} : { correction: { value: meant } };
}

function protocolHint(text: string): string | undefined {
  if (/^icmp/i.test(text)) return 'A rule without ports allows ICMP too; one with ports never does.';
  return didYouMean(text, PROTOCOLS);
}

/**
 * Reads a port number, 1 to 65535; undefined if absent. Anything else is a problem and gives
 * undefined.
 */
export function readPortNumber(field: Field): number | undefined {
  const { value } = field;
  if (field.isAbsent) return undefined;
  if (typeof value === 'number' && Number.isInteger(value)) {
    if (value >= 1 && value <= 65535) return value;
    field.problem(`${value} is not a port; ports are 1 to 65535`, portHint(value));
  } else {
    const quoted = typeof value === 'string' && /^[1-9]\d{0,4}$/.test(value);
    field.problem(
      `expected a port number, found ${describe(value)}`,
      quoted ? withoutQuotes(value) : undefined,
      quoted ? portNumber(value) : {},
    );
  }
  return undefined;
}

/**
 * Reads a port number or the name of a container port; undefined if absent. Anything else is a
 * problem and gives undefined.
 */
export function readPort(field: Field): number | string | undefined {
  if (typeof field.value !== 'string') return readPortNumber(field);
  return readPortName(field);
}

/**
 * Reads a port name (IANA_SVC_NAME); undefined if absent. Anything else is a problem and gives
 * undefined.
 */
export function readPortName(field: Field): string | undefined {
  const name = field.text();
  if (name === undefined) return undefined;
  if (name.length <= 15 && PORT_NAME.test(name)) return name;
  if (/^\d+$/.test(name)) {
    field.problem(
      `${show(name)} in quotes is a port name, and names need a letter`,
      withoutQuotes(name),
      portNumber(name),
    );
    return undefined;
  }
  field.problem(
    `${show(name)} is not a port name; names have up to 15 lower case letters, digits and '-', one letter at least`,
    portNameHint(name),
  );
  return undefined;
}

/** Returns the correction of a port number in quotes; none if the digits are not a port. */
function portNumber(digits: string): { readonly correction?: Correction } {
  return /^[1-9]\d{0,4}$/.test(digits) && Number(digits) <= 65535 ? { correction: { value: Number(digits) } } : {};
}

function withoutQuotes(digits: string): string {
  return `Did you mean ${digits}, without quotes?`;
}

function portHint(port: number): string | undefined {
  if (port === 0) return 'Leave the field out for every port.';
  // A digit too many is the likeliest slip.
  const meant = port < 0 ? -port : Math.floor(port / 10);
  return meant >= 1 && meant <= 65535 ? `Did you mean ${meant}?` : undefined;
}

function portNameHint(name: string): string | undefined {
  const range = /^(\d{1,5})\s*[-:]\s*(\d{1,5})$/.exec(name);
  if (range !== null) return `Did you mean port: ${range[1]} and endPort: ${range[2]}?`;
  const qualified = /^(\d{1,5})\/(tcp|udp|sctp)$/i.exec(name);
  if (qualified !== null) return `Did you mean port: ${qualified[1]} and protocol: ${qualified[2]?.toUpperCase()}?`;
  const meant = name.toLowerCase().replaceAll(/[_ .]/g, '-');
  return meant.length <= 15 && PORT_NAME.test(meant) ? `Did you mean ${meant}?` : undefined;
}
