/** The settings of `podfence agent` in the environment: a variable PODFENCE_… for every flag. */
import type { Option } from 'commander';
import { nearest } from '../../cluster/nearest.ts';
import { InputError } from '../shared/exit-code.ts';
import { refusalOf } from './options.ts';

const PREFIX = 'PODFENCE_';

/**
 * Variables of podfence that are not settings: one for longer error messages, and the pod in which
 * `podfence lab exec` runs a command.
 */
const OTHERS: ReadonlySet<string> = new Set(['PODFENCE_DEBUG', 'PODFENCE_POD']);

/**
 * Checks every PODFENCE_ variable, even if a flag overrides it. Throws an InputError that lists all
 * mistakes: a variable that is not a setting, or a value that the setting rejects.
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
  // The common prefix does not make a name nearer.
  const rest = (variable: string) => variable.slice(PREFIX.length);
  const meant = nearest(rest(name), variables.map(rest));
  return `there is no such setting.${meant === undefined ? '' : ` Did you mean ${PREFIX}${meant}?`}`;
}

/**
 * Kubernetes sets variables for the Services in a pod's namespace, and one may be named podfence
 * (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
  );
}
