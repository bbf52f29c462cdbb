/** The page docs/faults.md, which a run writes. */
import { FAULTS } from './faults.ts';
import { type RandomRun, summaryOf } from './random-faults.ts';
import type { Outcome } from './scene.ts';

const HEAD = `# What becomes of traffic when something goes wrong

\`npm run faults -- --write\` wrote this page. An agent enforces on a node with an allowed pair of pods, which exchange numbered messages over TCP and UDP all the time and open a new connection every 20 ms, and a
pod that no policy allows, which tries 2,000 packets a second: connections, segments in the middle of connections, datagrams. Then something goes wrong. Afterwards the cluster changes twice:
a third pod is allowed and then denied. The time until both changes hold is measured, for new connections and for an open one; it includes 0.3 s of watching that nothing arrives.

| what | how | denied packets delivered | open streams broken, datagrams lost | new connections that never opened | a change holds after | |
|---|---|---|---|---|---|---|
`;

export function page(outcomes: readonly Outcome[], random: RandomRun | undefined): string {
  const rows = outcomes.map(({ fault, delivered, tried, broken, lost, opened, unopened, converged, note, problem }) => {
    const { how, opens } = FAULTS.find(({ name }) => name === fault) ?? { how: '', opens: undefined };
    const cells = [
      fault,
      how,
      `${delivered} of ${tried.toLocaleString('en')}`,
      `${broken} of 2, ${lost}`,
      `${unopened} of ${opened + unopened}`,
      converged === undefined ? 'never' : `${(converged / 1000).toFixed(1)} s`,
      [note, problem, opens?.why].filter((each) => each).join('; '),
    ];
    return `| ${cells.join(' | ')} |\n`;
  });
  const tail =
    random === undefined
      ? ''
      : `\nThen faults that open nothing followed one another at random, by the seed ${random.seed}: ${summaryOf(random)}.\n`;
  return `${HEAD}${rows.join('')}${tail}`;
}
