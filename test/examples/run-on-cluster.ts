/**
 * Checks the truth tables of examples/ on a cluster, whatever enforces there:
 *
 *     node test/examples/run-on-cluster.ts --image podfence:dev [--kubectl kubectl] [EXAMPLE…]
 *     … --outside '198.51.100.10=ip netns exec backup'
 *
 * `--kubectl` is the command that reaches the cluster, with its arguments. `--outside` is a host
 * with that address and the command that runs programs there. Prints a line per row. The exit code
 * is 1 if one differs from its table or is not proved.
 */
import { parseArgs } from 'node:util';
import { checkOnCluster } from './on-cluster.ts';
import { hostBehind, output } from './outside-host.ts';
import { truthTables } from './truth-tables.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    image: { type: 'string', default: 'podfence:dev' },
    kubectl: { type: 'string', default: 'kubectl' },
    outside: { type: 'string', multiple: true, default: [] },
  },
});
const [kubectlCommand = '', ...kubectlArgs] = words(values.kubectl);
const outside = new Map(
  values.outside.map((given) => {
    const [address = '', ...command] = given.split('=');
    return [address, hostBehind(words(command.join('=')))];
  }),
);
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new Error(`${name}: the example is taken away`)));
}
const tables = truthTables().filter(({ example }) => positionals.length === 0 || positionals.includes(example));

for (const table of tables) {
  const results = await checkOnCluster(table, {
    kubectl: (args, input) => output(kubectlCommand, [...kubectlArgs, ...args], input),
    image: values.image,
    outside,
    report: (line) => console.error(line),
    signal: interrupted.signal,
  });
  for (const { row, outcome, detail } of results) console.log(`${outcome.padEnd(12)} ${row.text}  (${detail})`);
  const of = (wanted: string) => results.filter(({ outcome }) => outcome === wanted).length;
  const bad = of('otherwise') + of('not proved');
  console.log(`examples/${table.example}: ${of('as expected')} as expected, ${bad} not, ${of('not asked')} not asked`);
  if (bad > 0) process.exitCode = 1;
}

function words(command: string): string[] {
  return command.split(/\s+/).filter(Boolean);
}
