import { chartFiles } from './chart.ts';
import { installYaml } from './install.ts';

/** The text of every file of daemonset/ that is made from others, by its path there. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([['install.yaml', installYaml()], ...chartFiles()]);
}
