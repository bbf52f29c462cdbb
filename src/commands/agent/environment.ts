/** The settings of `podfence agent` in the environment: PODFENCE_…, a variable for every flag. */
import type { Option } from 'commander';
import { nearest } from '../../cluster/nearest.ts';
import { InputError } from '../shared/exit-code.ts';
import { refusalOf } from './options.ts';

const PREFIX = 'PODFENCE_';

/** Of podfence, and no settings: more words about errors, and the pod that a `podfence lab exec` is in. */
const OTHERS: ReadonlySet<string> = new Set(['PODFENCE_DEBUG', 'PODFENCE_POD']);

/**
 * Holds every variable against the settings, whether or not a flag decides. Throws an InputError with all mistakes: a variable that is no setting, a
 * value that the setting does not take.
 */
export function checkEnvironment(environment: NodeJS.ProcessEnv, options: readonly Option[]): void {
  const byVariable = new Map(
    options.flatMap((option) => (option.envVar === undefined ? [] : [[option.envVar, option]])),
  );
  const mistakes: string[] = [];
  for (const [name, value = ''] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || OTHERS.has(name) || isServiceLink(name, value)) continue;
    const option = byVariable.get(name);
    const mistake = option === undefined ? unknown(name, [...byVariable.keys()]) : refusalOf(option, value);
    if (mistake !== undefined) mistakes.push(`${name}: ${mistake}`);
  }
  if (mistakes.length > 0) throw new InputError(mistakes.join('\n'));
}

function unknown(name: string, variables: readonly string[]): string {
  // What all of them begin with makes none of them nearer.
  const rest = (variable: string) => variable.slice(PREFIX.length);
  const meant = nearest(rest(name), variables.map(rest));
  return `there is no such setting.${meant === undefined ? '' : ` Did you mean ${PREFIX}${meant}?`}`;
}

/**
 * Kubernetes tells a pod of the Services in its namespace by variables, and one may be named podfence
 * (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
  );
}
