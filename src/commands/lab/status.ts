/** `podfence lab status`. */
import type { LabState } from '../../lab/state-file.ts';
import { Columns } from '../shared/columns.ts';
import { ExitCode } from '../shared/exit-code.ts';
import { runningLab } from './running.ts';

/** @returns the exit code. */
export async function labStatus(flags: { readonly name: string }): Promise<number> {
  const lab = runningLab(flags.name);
  process.stdout.write(`Lab ${lab.name} is up, kept by process ${lab.pid}.\n\n${table(hostLines(lab))}\n`);
  if (lab.services.length > 0) process.stdout.write(`\n${table(serviceLines(lab))}\n`);
  return ExitCode.ok;
}

function hostLines({ hosts }: LabState): string[][] {
  return [
    ['NAME', 'KIND', 'NODE', 'ADDRESSES', 'PORTS'],
    ...hosts.map(({ name, kind, node = '', addresses, ports }) => [
      name,
      kind,
      node,
      addresses.join(' '),
      ports.map(({ protocol, port }) => `${protocol} ${port}`).join(', '),
    ]),
  ];
}

function serviceLines({ services }: LabState): string[][] {
  return [
    ['SERVICE', 'ADDRESS', 'PORT', 'NODE PORT', 'BACKENDS'],
    ...services.map(({ name, address, protocol, port, nodePort, backends }) => [
      name,
      address,
      `${protocol} ${port}`,
      String(nodePort ?? ''),
      String(backends),
    ]),
  ];
}

function table(lines: readonly (readonly string[])[]): string {
  const columns = new Columns();
  columns.widen(lines);
  return lines.map((line) => columns.line(line)).join('\n');
}
