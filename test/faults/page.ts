/** docs/faults.md, as a run writes it. */
import { FAULTS } from './faults.ts';
import { type RandomRun, summaryOf } from './random-faults.ts';
import type { Outcome } from './scene.ts';

const HEAD = `# What becomes of traffic when something goes wrong

\`npm run faults -- --write\` wrote this page. An agent enforces on a node with an allowed pair of pods, which exchange numbered messages over TCP and UDP all the time, and a
pod that no policy allows, which tries 2,000 packets a second: connections, segments in the middle of connections, datagrams. Then something goes wrong. After it the cluster changes twice, so that
a third pod may talk and may not any more, and the time until both hold is taken, for new connections and for one that was open.

| what | how | denied packets delivered | allowed streams broken | a change holds after | |
|---|---|---|---|---|---|
`;

export function page(outcomes: readonly Outcome[], random: RandomRun | undefined): string {
  const rows = outcomes.map((outcome) => {
    const { how, opens } = FAULTS.find(({ name }) => name === outcome.fault) ?? { how: '', opens: undefined };
    const converged = outcome.converged === undefined ? 'never' : `${(outcome.converged / 1000).toFixed(1)} s`;
    const delivered = `${outcome.delivered} of ${outcome.tried.toLocaleString('en')}`;
    const notes = [outcome.note, opens].filter((each) => each).join('; ');
    return `| ${outcome.fault} | ${how} | ${delivered} | ${outcome.broken} of 2 | ${converged} | ${notes} |\n`;
  });
  const tail =
    random === undefined
      ? ''
      : `\nThen faults that open nothing followed one another at random, by the seed ${random.seed}: ${summaryOf(random)}.\n`;
  return `${HEAD}${rows.join('')}${tail}`;
}
