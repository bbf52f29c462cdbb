/** The result of a canary: a table for people, an object for programs. */

import { type Conclusion, conclusionOf } from '../../canary/conclusion.ts';
import type { AllowedOutcome, DeniedOutcome, HeldOutcome } from '../../canary/judgement.ts';
import type { CanaryResult, JudgedCheck, JudgedNewPod } from '../../canary/result.ts';
import { type Colour, paint } from '../../lab/paint.ts';
import { Columns } from '../shared/columns.ts';

const HEAD = ['DIRECTION', 'PLACE', 'PROTOCOL', 'DENIED', 'AFTER', 'OPEN AGAIN', 'ALLOWED', 'OPEN CONNECTIONS'];
const HOW = { silent: 'dropped', refused: 'rejected', unreachable: 'rejected' } as const;
const COLOURS: Readonly<Record<Conclusion, Colour>> = { proved: 'green', wrong: 'alarm', 'not proved': 'yellow' };

/** Returns the table, the notes on it, and the conclusion. */
export function canaryText(result: CanaryResult, colour: boolean): string {
  const lines = result.checks.map(cells);
  const columns = new Columns();
  columns.widen([HEAD, ...lines]);
  return [
    paint(columns.line(HEAD), 'bold', colour),
    ...lines.map((line) => columns.line(line, (cell) => (cell.startsWith('NO') ? paint(cell, 'alarm', colour) : cell))),
    '',
    ...result.newPods.flatMap((each) => newPodText(each)),
    ...notesOf(result),
    '',
    paint(summary(result), COLOURS[conclusionOf(result)], colour),
    '',
  ].join('\n');
}

/**
 * Returns the object for --json. Durations are in ms, counted from the API server's answer to a
 * change of the policies; for new pods, from the pod's start (`firstAfter`) or its first attempt
 * (`after`).
 */
export function canaryJson(result: CanaryResult): object {
  return rounded({
    outcome: conclusionOf(result),
    nodes: result.nodes,
    families: result.families,
    rounds: result.rounds,
    checks: result.checks.map(({ check, denied, deniedHeld, allowed, allowedHeld }) => ({
      direction: check.direction,
      place: check.place,
      protocol: check.protocol,
      family: check.family,
      denied: { from: check.denied.from, to: check.denied.to, ...denied },
      allowed: { from: check.allowed.from, to: check.allowed.to, ...allowed },
      openConnections: { denied: deniedHeld, allowed: allowedHeld },
    })),
    newPods: result.newPods.map(({ check, outcome }) => ({
      place: check.place,
      protocol: check.pair.protocol,
      family: check.pair.family,
      from: check.pair.from,
      to: check.pair.to,
      ...outcome,
    })),
  });
}

function cells({ check, denied, deniedHeld, allowed, allowedHeld }: JudgedCheck): string[] {
  const place = [check.direction, check.place, `${check.protocol} ${check.family}`];
  const open = `${heldText(deniedHeld)}, allowed ${heldText(allowedHeld)}`;
  const isAllowed = allowedText(allowed);
  switch (denied.outcome) {
    case 'denied': {
      const how = HOW[denied.by as keyof typeof HOW] ?? denied.by;
      return [...place, how, seconds(denied.inForceAfter), seconds(denied.openAgainAfter), isAllowed, open];
    }
    case 'came through': {
      const after = denied.inForceAfter === undefined ? '' : seconds(denied.inForceAfter);
      return [...place, `NO: ${denied.answers} of ${denied.attempts} came through`, after, '', isAllowed, open];
    }
    case 'not proved':
      return [...place, 'not proved', '', '', isAllowed, open];
  }
}

function allowedText(allowed: AllowedOutcome): string {
  switch (allowed.outcome) {
    case 'allowed':
      return 'yes';
    case 'refused':
      return allowed.answers === 0 ? 'NO' : `NO: ${allowed.attempts - allowed.answers} of ${allowed.attempts} lost`;
    case 'not proved':
      return 'not proved';
  }
}

function heldText(held: HeldOutcome): string {
  return held.outcome === 'cut' ? `cut after ${seconds(held.after)}` : held.outcome;
}

function newPodText({ check, outcome }: JudgedNewPod): string[] {
  const where = check.place === 'one node' ? 'to its own node' : 'to another node';
  switch (outcome.outcome) {
    case 'holds':
      return [
        outcome.connections === 0
          ? `A new pod got no connection out ${where}: its policy held when it first tried, ${seconds(outcome.firstAfter)} after its program started.`
          : `A new pod got ${counted(outcome.connections, 'connection')} out ${where} before its policy held, ${seconds(outcome.after)} after the first.`,
      ];
    case 'came through': {
      const got = `${counted(outcome.connections, 'connection')} got out ${where}`;
      return [
        outcome.after === undefined
          ? `NO policy held for a new pod: ${got}.`
          : `NO policy held for a new pod for good: it held ${seconds(outcome.after)} after the first attempt, and not later. ${got} in all.`,
      ];
    }
    case 'not proved':
      return [`A new pod that connects ${where}: not proved: ${outcome.reason}.`];
  }
}

/** Says why something is not proved, and where attempts of allowed pairs had no answer. */
function notesOf({ checks, nodes, rounds }: CanaryResult): string[] {
  const notes = new Set<string>();
  for (const { check, denied, allowed } of checks) {
    const way = `${check.protocol} ${check.family}`;
    if (denied.outcome === 'not proved') {
      notes.add(`Not proved, ${check.denied.from} to ${check.denied.to} by ${way}: ${denied.reason}.`);
    }
    if (allowed.outcome === 'not proved') {
      notes.add(`Not proved, ${check.allowed.from} to ${check.allowed.to} by ${way}: ${allowed.reason}.`);
    }
    if (allowed.outcome === 'allowed' && allowed.answers < allowed.attempts) {
      const pair = `${check.allowed.from} to ${check.allowed.to} by ${way}`;
      const lost = `${allowed.attempts - allowed.answers} of ${allowed.attempts} attempts had no answer`;
      const gap = allowed.longestGap > 0 ? ` (none for ${seconds(allowed.longestGap)})` : '';
      notes.add(`Allowed, but ${lost}${gap}: ${pair}.`);
    }
  }
  if (rounds > 1)
    notes.add(`The pairs were isolated ${rounds} times, because the control pair was not open throughout.`);
  if (nodes.length < 2) notes.add('Only one node accepts pods, so nothing between nodes was tried.');
  return [...notes];
}

function summary(result: CanaryResult): string {
  const { checks } = result;
  switch (conclusionOf(result)) {
    case 'proved':
      return `Proved: what the policies deny is denied (${checks.length} of ${checks.length}), and what they allow is not.`;
    case 'not proved': {
      const proved = checks.filter(
        ({ denied, allowed }) => denied.outcome === 'denied' && allowed.outcome === 'allowed',
      );
      return `Not proved: ${proved.length} of ${checks.length} checks are proved.`;
    }
    case 'wrong': {
      const through = checks.filter(({ denied }) => denied.outcome === 'came through').length;
      const refused = checks.filter(({ allowed }) => allowed.outcome === 'refused').length;
      if (checks.every(({ denied }) => wasNeverDenied(denied)))
        return 'NOT ENFORCED: everything that the policies deny came through.';
      const parts = [
        ...(through > 0 ? [`${through} of ${checks.length} that the policies deny came through`] : []),
        ...(refused > 0 ? [`${refused} of ${checks.length} that they allow were refused`] : []),
        ...(through + refused === 0 ? ['a new pod opened connections that its policy denies'] : []),
      ];
      return `WRONG: ${parts.join('; ')}.`;
    }
  }
}

/**
 * Whether the policies never had an effect. Up to a tenth of the attempts may fail, because packets
 * get lost without any policy too.
 */
function wasNeverDenied(denied: DeniedOutcome): boolean {
  if (denied.outcome !== 'came through' || denied.inForceAfter !== undefined) return false;
  return denied.answers > denied.attempts * 0.9;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

function counted(number: number, one: string): string {
  return `${number} ${one}${number === 1 ? '' : 's'}`;
}

/** Rounds to whole milliseconds: the measurement is no finer. */
function rounded(value: object): object {
  return JSON.parse(JSON.stringify(value, (_, each) => (typeof each === 'number' ? Math.round(each) : each)));
}
