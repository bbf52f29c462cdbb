/** The settings of the agent as the chart's schema has them: named as the flags are, and of their types. */
import type { Option } from 'commander';
import { agentOptions, configOption } from '../../src/commands/agent/options.ts';

/** The part of JSON Schema that is needed here (draft 7, which every Helm from 3 on knows). */
export type Schema = Readonly<Record<string, unknown>>;

/** Least and greatest value, as agent-options.ts has them; a test holds these against it. */
const NUMBERS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  queues: [1, 64],
  'first-queue': [0, 65_471],
  'flow-capacity': [1, 16_777_216],
  adopt: [0, 3600],
};

const LISTS = ['node-addresses', 'manifests'];

/** It may be empty, for nowhere. */
const QUERY_ADDRESS = 'query-address';

/**
 * A chart takes the port of the probes and of the Service from it. The kubelet asks at the node's
 * address, so it is one of all addresses.
 */
const METRICS_ADDRESS = 'metrics-address';
const ALL_ADDRESSES = '^(0\\.0\\.0\\.0|\\[::\\])?:[0-9]{1,5}$';

/** All settings: a variable of the environment each. */
export function settings(): readonly Option[] {
  return [configOption(), ...agentOptions('the name of the node')];
}

export function settingsSchema(): Schema {
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(settings().map((option) => [option.name(), schemaOf(option)])),
  };
}

function schemaOf(option: Option): Schema {
  const { description } = option;
  return { description, ...typeOf(option) };
}

function typeOf(option: Option): Schema {
  const name = option.name();
  const range = NUMBERS[name];
  if (range !== undefined) return { type: 'integer', minimum: range[0], maximum: range[1] };
  if (option.argChoices !== undefined) return { enum: option.argChoices };
  // YAML of version 1.1, which Helm reads, takes yes and no for booleans.
  if (option.flags.includes('<yesno>')) return { enum: [true, false, 'yes', 'no', 'true', 'false'] };
  if (name === 'mark-mask') return { type: ['string', 'integer'], pattern: '^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$' };
  if (LISTS.includes(name)) return { type: ['string', 'array'], minLength: 1, minItems: 1, items: { type: 'string' } };
  if (name === METRICS_ADDRESS) return { type: 'string', pattern: ALL_ADDRESSES };
  if (name === 'nri') return { type: 'string', pattern: '^(off|/.*)$' };
  return name === QUERY_ADDRESS ? { type: 'string' } : { type: 'string', minLength: 1 };
}
