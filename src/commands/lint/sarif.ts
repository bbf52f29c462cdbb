/**
 * Findings as SARIF 2.1.0, for code scanning and editors
 * (https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html).
 */
import { isAbsolute, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { printable } from '../../cluster/printable.ts';
import type { Finding } from '../../lint/finding.ts';
import { RULE_NAMES, ruleOf, type Severity } from '../../lint/rules.ts';
import { documentationAddress } from '../shared/documentation.ts';

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';
const LEVELS: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = {
  error: 'error',
  warning: 'warning',
  hint: 'note',
  info: 'note',
};

/** Returns the log as a JSON value. @param version podfence's own. */
export function sarifLog(findings: readonly Finding[], version: string): object {
  const rules = RULE_NAMES.map((name) => {
    const { code, severity, summary } = ruleOf(name);
    return {
      id: code,
      name,
      shortDescription: { text: summary },
      helpUri: documentationAddress('lint.md', `${code}-${name}`.toLowerCase()),
      defaultConfiguration: { level: LEVELS[severity] },
    };
  });
  const driver = { name: 'podfence', semanticVersion: version, rules };
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results: findings.map(resultOf) }],
  };
}

function resultOf(finding: Finding): object {
  const { code, rule, severity, object, field, message, hint, note, file, fix } = finding;
  const text = [`${message}.`, hint, note].filter((part) => part !== undefined).join(' ');
  const subject = [object, field].filter((part) => part !== '').join(' ');
  return {
    ruleId: code,
    ruleIndex: RULE_NAMES.indexOf(rule),
    level: LEVELS[severity],
    message: { text: printable(subject === '' ? text : `${subject}: ${text}`) },
    ...(file === '' ? {} : { locations: [locationOf(finding)] }),
    ...(fix === undefined ? {} : { fixes: [fixOf(file, fix)] }),
  };
}

function locationOf({ file, line, column, object }: Finding): object {
  const region = line > 0 ? { region: { startLine: line, startColumn: column } } : {};
  const logical =
    object === '' ? {} : { logicalLocations: [{ fullyQualifiedName: printable(object), kind: 'resource' }] };
  return { physicalLocation: { artifactLocation: { uri: uriOf(file) }, ...region }, ...logical };
}

function fixOf(file: string, { summary, edits }: NonNullable<Finding['fix']>): object {
  const replacements = edits.map(({ start, end, text }) => ({
    deletedRegion: { charOffset: start, charLength: end - start },
    ...(text === '' ? {} : { insertedContent: { text } }),
  }));
  return {
    description: { text: printable(summary) },
    artifactChanges: [{ artifactLocation: { uri: uriOf(file) }, replacements }],
  };
}

/** Relative paths stay relative to where the command ran, which in CI is the checkout. */
function uriOf(file: string): string {
  if (file === '-') return 'stdin';
  if (isAbsolute(file)) return pathToFileURL(file).href;
  return file.split(sep).map(encodeURIComponent).join('/');
}
