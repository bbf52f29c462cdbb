/** Reads and validates meta/v1 LabelSelector (apimachinery: pkg/apis/meta/v1/validation). */
import { describe, type Field, type Meant, show } from './field.ts';
import { checkLabelKey, checkLabelValue, otherCase, readLabels } from './names.ts';
import { didYouMean } from './nearest.ts';
import type { LabelSelector, SelectorOperator, SelectorRequirement } from './records.ts';

const OPERATORS: readonly SelectorOperator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** What people write instead, from other query languages and from memory. */
const OTHER_SPELLINGS: Readonly<Record<string, SelectorOperator>> = {
  '=': 'In',
  '==': 'In',
  equals: 'In',
  '!=': 'NotIn',
  notequals: 'NotIn',
  notexists: 'DoesNotExist',
  notexist: 'DoesNotExist',
  absent: 'DoesNotExist',
  present: 'Exists',
};

/** Fields of a policy's spec. Indented too far, they end up in the podSelector in front of them. */
const SPEC_FIELDS: Readonly<Record<string, Meant>> = Object.fromEntries(
  ['policyTypes', 'ingress', 'egress'].map((field) => [
    field,
    { hint: 'Put it under spec, beside podSelector.', correction: { moveOut: true } },
  ]),
);

/** Reads a selector; an absent one is empty. If it has a problem, the result must not be used. */
export function readSelector(field: Field): LabelSelector {
  field.hasOnly(['matchLabels', 'matchExpressions'], {
    app: 'Put labels under matchLabels.',
    name: 'Put labels under matchLabels.',
    ...SPEC_FIELDS,
    podSelector: 'Put it beside this selector.',
    namespaceSelector: 'Put it beside this selector.',
    from: 'Put peers in a rule under ingress.',
    to: 'Put peers in a rule under egress.',
    ports: 'Put ports in a rule under ingress or egress.',
  });
  const matchExpressions: SelectorRequirement[] = [];
  for (const element of field.child('matchExpressions').list()) {
    const requirement = readRequirement(element);
    if (requirement !== undefined) matchExpressions.push(requirement);
  }
  return { matchLabels: readLabels(field.child('matchLabels')), matchExpressions };
}

function readRequirement(field: Field): SelectorRequirement | undefined {
  if (!field.hasOnly(['key', 'operator', 'values'])) return undefined;
  const keyField = field.child('key');
  const key = keyField.text();
  if (key !== undefined) checkLabelKey(keyField, key);
  else if (keyField.isAbsent) keyField.problem('the requirement has no key');
  const values = readValues(field.child('values'));
  const operator = readOperator(field.child('operator'));
  if (key === undefined || operator === undefined) return undefined;
  const needsValues = operator === 'In' || operator === 'NotIn';
  if (needsValues && values.length === 0 && field.child('values').isClean) {
    field
      .child('values')
      .problem(`${operator} needs values`, `Did you mean ${operator === 'In' ? 'Exists' : 'DoesNotExist'}?`);
  }
  if (!needsValues && values.length > 0) {
    field
      .child('values')
      .problem(`${operator} takes no values`, `Did you mean ${operator === 'Exists' ? 'In' : 'NotIn'}?`);
  }
  return { key, operator, values };
}

function readOperator(field: Field): SelectorOperator | undefined {
  const known = OPERATORS.find((operator) => operator === field.value);
  if (known !== undefined) return known;
  const choice = `operators are ${OPERATORS.join(', ')}`;
  if (typeof field.value === 'string') {
    const letters = field.value.toLowerCase().replaceAll(/[^a-z=!]/g, '');
    const meant = Object.hasOwn(OTHER_SPELLINGS, letters) ? OTHER_SPELLINGS[letters] : undefined;
    field.problem(
      `there is no operator ${show(field.value)}; ${choice}`,
      meant === undefined ? didYouMean(letters, OPERATORS) : `Did you mean ${meant}?`,
      otherCase(field.value, OPERATORS),
    );
  } else {
    field.problem(
      field.isAbsent
        ? `the requirement has no operator; ${choice}`
        : `expected an operator, found ${describe(field.value)}`,
    );
  }
  return undefined;
}

function readValues(field: Field): readonly string[] {
  const values: string[] = [];
  for (const element of field.list()) {
    const value = element.isAbsent ? '' : element.text();
    if (value === undefined) continue;
    checkLabelValue(element, value);
    values.push(value);
  }
  return values;
}
